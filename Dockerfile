# The tool in a container.
#
#     docker build -t style-transfer .
#     docker run --rm -v "$PWD:/pictures" -v style-transfer:/cache style-transfer --config my.yaml
#
# /pictures is the folder in which the command runs; /cache keeps the weights. On Linux, the option
# `--user "$(id -u):$(id -g)"` makes the results yours. With an NVIDIA card:
#
#     docker build -t style-transfer --build-arg EXTRAS=gpu .
#     docker run --gpus all ...
FROM python:3.12-slim-bookworm

# Libraries that OpenCV loads and the slim image lacks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /source
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt

# Extras of pyproject.toml, separated by commas: gpu, ray, tensorboard, video, tiff, heif.
ARG EXTRAS=""
COPY . .
RUN pip install --no-cache-dir ".${EXTRAS:+[$EXTRAS]}"

ENV XDG_CACHE_HOME=/cache MPLCONFIGDIR=/cache/matplotlib
RUN mkdir -m 777 /cache /pictures
WORKDIR /pictures
ENTRYPOINT ["style-transfer"]
