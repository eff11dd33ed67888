# optsg in a container: every command, and by default the service over HTTP. docs/serving.md says how it is run.
#
#   docker build -t optsg .
#   docker build -t optsg:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .

FROM python:3.12-slim AS installed

# Where PyTorch's wheels come from: its CPU build, or that of a CUDA version.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN python -m venv /opt/optsg
ENV PATH=/opt/optsg/bin:$PATH
WORKDIR /source

# PyTorch has a layer of its own: it is large, and changes less often than what is here.
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt pip setuptools \
    && pip install --no-cache-dir --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX" torch torchvision

COPY pyproject.toml LICENSE __init__.py py.typed ./
COPY docs/installing.md docs/installing.md
COPY data data
COPY extract extract
COPY train train
COPY evaluate evaluate
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[small,serve]'


FROM python:3.12-slim

# As process 1 tini hands signals on and takes in what killed decoding processes leave.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp optsg \
    && install --directory --owner=optsg --group=optsg /data /cache

COPY --from=installed /opt/optsg /opt/optsg

# Nothing is written but into /data, /cache and TMPDIR, so that all else may be read-only.
ENV PATH=/opt/optsg/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/tmp \
    HF_HOME=/cache/huggingface \
    TORCH_HOME=/cache/torch \
    OPTSG_CACHE=/cache/optsg \
    MPLCONFIGDIR=/tmp/matplotlib

USER 10001:10001
WORKDIR /data
VOLUME ["/data", "/cache"]
EXPOSE 8000

# Of the service. Every other command ends before anybody asks twice.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

ENTRYPOINT ["tini", "--"]
CMD ["optsg-serve", "/data/run", "--host", "0.0.0.0", "--token", "/run/secrets/optsg_token"]
