"""A run's folder, and the command for one run.

record       the numbered folder, and `record.json`, whose presence means that the run finished
checkpoint   checkpoints, from which a run continues to the same bytes
outputs      everything that is written into the folder
frames       the frames of a film on the disk, and how much there is to do for them
film         a film, frame after frame
log          `log.txt`: what is said, with times
loss_plot    the plot of the losses
fonts        text of any script in plots
tensorboard  events for TensorBoard
progress     the progress bar, or plain lines
window       a window with the pastiche
command      check, make, report; continue and extend
"""

from neural_style.runs.command import Run, conduct
from neural_style.runs.film import paint
from neural_style.runs.log import RunLog
from neural_style.runs.outputs import RunFolder

__all__ = ["Run", "RunFolder", "RunLog", "conduct", "paint"]
