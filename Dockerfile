# The service as an image, and with --target train the pipeline:
#     docker build -t car_damage_classifier .
#     docker run -p 5000:5000 car_damage_classifier
# docs/operations.md tells more. Stages that a target does not need are not built.

ARG BASE=python:3.12-slim

FROM ${BASE} AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1


# Wheels only, so that no compiler is missed, and without pip, which nothing needs afterwards. What
# is never run goes: LiteRT's driver for graphics cards, and the packages' own tests (34 MB in all).
FROM base AS packages
WORKDIR /build
COPY requirements-serve.txt ./
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --only-binary :all: -r requirements-serve.txt \
    && rm -f /venv/lib/python3*/site-packages/ai_edge_litert/libLiteRtWebGpuAccelerator.so \
    && find /venv -type d -name tests -prune -exec rm -r {} +


# /app as in the image, with the version in use: the current one, or else the included one.
FROM base AS app
WORKDIR /app
COPY models all-models
RUN for folder in all-models/pretrained/*; do version=${folder##*/}; done \
    && if [ -f all-models/current ]; then version=$(cat all-models/current); fi \
    && mkdir models \
    && find all-models -maxdepth 2 -name "$version" -exec cp -r {} models \; \
    && echo "$version" > models/current \
    && rm -r all-models \
    && rm -f "models/$version/model.keras" "models/$version/trained_on.txt" \
    && test -f "models/$version/model.tflite"
COPY app.py predict.py gunicorn.conf.py LICENSE* ./
COPY car_damage car_damage
RUN rm -r car_damage/dataset car_damage/training car_damage/evaluation car_damage/release car_damage/report \
    && python -m compileall -q .


FROM ${BASE} AS serve
# HOME: nothing but /tmp can be written to where the root file system is read-only.
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PORT=5000
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=app /app /app
# A number, for Kubernetes to see that it is not root; it owns no file.
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-m", "car_damage.service.probe"]
CMD ["python", "-m", "car_damage.service.start", "-c", "gunicorn.conf.py"]
# Last, since each commit has another revision, and what stands below a changed one is made anew.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Car damage classifier" \
      org.opencontainers.image.description="Tells damaged cars from undamaged ones: POST /predict" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0 AND LGPL-3.0-or-later AND GPL-2.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"


# The pipeline: what data/ and models/ hold at the end is the result, so mount them.
FROM base AS train
WORKDIR /app
COPY scripts scripts
COPY requirements.txt ./
RUN bash -c 'source scripts/venv.sh && ready_venv requirements.txt'
COPY . .
# For whatever user the container runs as
RUN mkdir -p data/raw/damaged data/raw/not-damaged \
    && chmod -R a+rwX data models
ENV HOME=/tmp
USER 10001:10001
ENTRYPOINT ["bash", "run_pipeline.sh"]


# Last, hence the default
FROM serve
