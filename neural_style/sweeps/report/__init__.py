"""The report of a sweep, drawn from its results.

results        the data, and `summary.csv`
page           `index.html`, from `templates/`: the pictures of `grid`, the runs of `table`, whose
               `measures` are told in words, and a comparison with loss curves
seeds          means and standard deviations over `init.seed`
contact_sheet  the pictures side by side, of which `layout` places the runs and `sheet` draws
trade_off      style loss against content loss, with `labels` that do not overprint
thumbnails     small pictures
"""

from neural_style.sweeps.report.contact_sheet import SHEET, write_contact_sheet
from neural_style.sweeps.report.page import PAGE, write_page
from neural_style.sweeps.report.results import Axis, RunResult, SweepResults, write_summary
from neural_style.sweeps.report.seeds import write_seeds
from neural_style.sweeps.report.trade_off import write_trade_off

__all__ = [
    "PAGE",
    "SHEET",
    "Axis",
    "RunResult",
    "SweepResults",
    "write_contact_sheet",
    "write_page",
    "write_seeds",
    "write_summary",
    "write_trade_off",
]
