# An image with the command `redweb`.
#
#   docker build -t redweb .                                          PyPI's PyTorch: CUDA on Linux x86-64, several GB
#   docker build -t redweb --build-arg TORCH_INDEX=INDEX .            PyTorch of another index, such as its CPU index
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" redweb build-redweb photos --out my-set
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" redweb build-redweb /opt/redweb-builder/samples/stereo
#
# With a GPU add `--gpus all`. The review page listens on the loopback address: add `--network host`, and --no-browser.
ARG BASE=python:3.12-slim
FROM ${BASE}

# OpenCV needs libGL and GLib.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX=""
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision; fi

ARG EXTRAS="film,heic,review"
WORKDIR /opt/redweb-builder
COPY . .
RUN pip install --no-cache-dir ".[$EXTRAS]"

RUN useradd --create-home redweb && install --directory --owner redweb /data
USER redweb
# Weights that are fetched lie in the mounted folder and stay there.
ENV TORCH_HOME=/data/.cache/torch HF_HOME=/data/.cache/huggingface
WORKDIR /data
ENTRYPOINT ["redweb"]
CMD ["--help"]
