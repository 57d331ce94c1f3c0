# genattr for a CPU (make docker) or a GPU (make docker TORCH=cu130); docs/installing.md tells how to
# run it. The image holds what pip install brings, and works without a network.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS built
ARG TORCH=cpu
ARG EXTRAS=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The newest versions, as pip install takes them; pyproject.toml has the lowest.
# hadolint ignore=DL3013
RUN python -m venv /opt/genattr && \
    /opt/genattr/bin/pip install torch torchvision --index-url "https://download.pytorch.org/whl/${TORCH}"
WORKDIR /source
COPY pyproject.toml README.md LICENSE LICENSE-weights ./
COPY conf conf
COPY genattr genattr
RUN /opt/genattr/bin/pip install ".${EXTRAS:+[${EXTRAS}]}"

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="genattr" \
      org.opencontainers.image.description="Attribution heatmaps, and what stands where a part of a photo is removed" \
      org.opencontainers.image.licenses="MIT AND CC-BY-NC-4.0"
COPY --from=built /opt/genattr /opt/genattr
# docker run --user may be anybody, who writes to the home and to the folder of results.
RUN useradd --uid 1000 --create-home genattr && mkdir /work && chmod 1777 /home/genattr /work
ENV PATH=/opt/genattr/bin:$PATH HOME=/home/genattr MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
USER 1000
WORKDIR /work
VOLUME ["/work", "/home/genattr"]
ENTRYPOINT ["genattr"]
