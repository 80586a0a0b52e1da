# A target a service: docker build --target quality -t corpusmill-quality .
# Nothing here names a package index: pip reads the build's own configuration, given as a secret
# (--secret id=pip,src=pip.conf), or its defaults. `docs/compose.md` has the details.
ARG BASE=python:3.11-slim-bookworm

# --- What every image starts from: a user without rights, and where things lie.
FROM ${BASE} AS base
# Compiled loops are made at build time for this processor and newer ones (x86-64-v3: AVX2, 2013);
# `generic` for other architectures. A worker on another one compiles them again when it starts.
ARG CPU=x86-64-v3
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CPU_NAME=${CPU} NUMBA_CPU_FEATURES="" NUMBA_NUM_THREADS=1 \
    HOME=/tmp USER=corpusmill CORPUSMILL_PREPARED=/opt/prepared
RUN echo 'corpusmill:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'corpusmill:x:10001:' >> /etc/group
WORKDIR /tmp

# --- pip for the builds, in an environment of its own; /opt/venv is what an image gets.
FROM base AS tools
WORKDIR /src
COPY requirements/bootstrap.lock requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv \
 && /opt/pip/bin/pip install --quiet --no-cache-dir --require-hashes -r requirements/bootstrap.lock
COPY deploy/install.sh deploy/

# --- The project itself, once for all.
FROM tools AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY services services
RUN /opt/pip/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel .

# --- A builder a service: its own extra by its own lock, then the project, then compiled loops.
FROM tools AS build-gateway
COPY requirements/services/gateway.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh deploy/install.sh lock gateway
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project gateway

FROM tools AS build-extraction
COPY requirements/services/extraction.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh deploy/install.sh lock extraction
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project extraction

FROM tools AS build-langid
COPY requirements/services/langid.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh deploy/install.sh lock langid
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project langid

FROM tools AS build-quality
COPY requirements/services/quality.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh deploy/install.sh lock quality
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project quality

FROM tools AS build-dedup
COPY requirements/services/dedup.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh deploy/install.sh lock dedup
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project dedup

FROM tools AS build-export
COPY requirements/services/export.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh deploy/install.sh lock export
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project export

# torch's builds differ by machine, so it is pinned without a hash: the index decides which build.
FROM tools AS build-training
ARG TORCH=torch==2.13.0
COPY requirements/services/training.lock requirements/services/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    sh deploy/install.sh lock training && sh deploy/install.sh extra ${TORCH}
COPY --from=wheel /wheel /wheel
RUN sh deploy/install.sh project training

# --- What all images are when they run. `shared.container` is process 1: it passes signals on.
FROM base AS run
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=unknown
# A file with what the labels say; podman 4 takes labels alone out of its cache with old arguments.
RUN echo "corpusmill ${VERSION} ${REVISION} ${SOURCE}" > /etc/corpusmill-release
LABEL org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.vendor=Corpusmill
ENV CORPUSMILL_HOST=0.0.0.0 CORPUSMILL_PORT=8000 \
    CORPUSMILL_METRICS_HOST=0.0.0.0 CORPUSMILL_METRICS_PORT=9100 \
    CORPUSMILL_CACHE=/tmp/cache NUMBA_CACHE_DIR=/tmp/cache/numba
USER 10001:10001
STOPSIGNAL SIGTERM
EXPOSE 9100
ENTRYPOINT ["python", "-m", "shared.container"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-m", "shared.container", "--check", "http://127.0.0.1:9100/healthz"]

# Where a worker may put its temporary files on a disk (TMPDIR): a volume for each container.
FROM run AS disk
USER 0
RUN mkdir -m 1777 /scratch
VOLUME /scratch
USER 10001:10001

FROM disk AS worker
ENV OMP_NUM_THREADS=1

FROM run AS gateway
COPY --from=build-gateway /opt/venv /opt/venv
COPY --from=build-gateway /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-gateway
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "shared.container", "--check", "http://127.0.0.1:8000/healthz"]
CMD ["python", "-m", "services.gateway"]

FROM worker AS extraction
COPY --from=build-extraction /opt/venv /opt/venv
COPY --from=build-extraction /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-extraction
CMD ["python", "-m", "services.extraction.worker"]

FROM worker AS langid
COPY --from=build-langid /opt/venv /opt/venv
COPY --from=build-langid /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-langid
CMD ["python", "-m", "services.langid.worker"]

FROM worker AS quality
COPY --from=build-quality /opt/venv /opt/venv
COPY --from=build-quality /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-quality
CMD ["python", "-m", "services.quality.worker"]

FROM worker AS dedup
COPY --from=build-dedup /opt/venv /opt/venv
COPY --from=build-dedup /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-dedup
CMD ["python", "-m", "services.dedup.worker"]

FROM worker AS export
COPY --from=build-export /opt/venv /opt/venv
COPY --from=build-export /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-export
CMD ["python", "-m", "services.export.worker"]

# The training program sets its own number of threads.
FROM disk AS training
COPY --from=build-training /opt/venv /opt/venv
COPY --from=build-training /opt/prepared /opt/prepared
LABEL org.opencontainers.image.title=corpusmill-training
CMD ["python", "-m", "services.training.worker"]
