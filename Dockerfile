# Builds an image of the service, or of the pipeline with --target train:
#     docker build -t car_damage_classifier .
#     docker run -p 5000:5000 car_damage_classifier
# docs/deploying.md says more. Docker builds only the stages that a target needs.

ARG BASE=python:3.12-slim

FROM ${BASE} AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1


# Wheels only, because the base image has no compiler. Without pip, because nothing needs it
# afterwards. Delete what never runs (81 MB together):
# - the packages' own tests, types and C sources; NumPy's Fortran compiler; Pillow's fonts
# - LiteRT's drivers and compilers for graphics cards and phones, and what only its converter needs
# - SQLAlchemy's other databases, and its compiled modules. It has all of them in Python too, which
#   costs 1 microsecond a row and 15 a query.
# The last command makes bytecode of what the service imports, and of nothing else.
FROM base AS packages
ENV PIP_ONLY_BINARY=:all: \
    PIP_PYTHON=/venv/bin/python
WORKDIR /build
COPY requirements-serve.txt requirements-buckets.txt requirements-cluster.txt ./
RUN python -m venv --without-pip /venv \
    && pip install --no-compile -r requirements-serve.txt \
    && pip uninstall --yes flatbuffers ml-dtypes protobuf \
    && find /venv \( -name tests -o -name testing -o -name '*.[ach]' -o -name '*.py[ixd]' \
        -o -path '*/numpy/f2py' -o -path '*/numpy/_core/_simd.*' -o -path '*/PIL/_imagingft.*' \
        -o -path '*/pillow.libs/libfreetype-*' -o -path '*/pillow.libs/libharfbuzz-*' \
        -o -path '*/ai_edge_litert/*Gpu*.so' -o -path '*/ai_edge_litert/tools' -o -path '*/ai_edge_litert/vendors' \
        -o -path '*/sqlalchemy/*.so' -o -path '*/sqlalchemy/dialects/m*sql' -o -path '*/sqlalchemy/dialects/oracle' \
        \) -prune -exec rm -r {} + \
    && /venv/bin/python -c "import ai_edge_litert.interpreter, alembic.command, alembic.config, cv2, flask_cors, \
        flask_openapi3, flask_openapi3_swagger, fsspec.implementations.local, gunicorn.app.wsgiapp, \
        gunicorn.workers.base, limits.storage, numpy.ma, numpy.typing, pillow_heif, prometheus_client.multiprocess, \
        psycopg, pydantic.dataclasses, pydantic.functional_serializers, pydantic.root_model, pydantic.type_adapter, redis, \
        simplejpeg, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite, sqlalchemy.orm, tqdm.contrib, \
        waitress.server, werkzeug.middleware.proxy_fix; \
        import PIL.Image as image; image.init()"
# With --build-arg BUCKETS=yes, KEEP_PHOTOS can also name a bucket.
ARG BUCKETS
RUN test -z "$BUCKETS" \
    || pip install -r requirements-buckets.txt
# With --build-arg CLUSTER=yes, predict.py can use buckets, Parquet and a Ray cluster.
ARG CLUSTER
RUN test -z "$CLUSTER" \
    || pip install -r requirements-cluster.txt


# /app with the version in use: the current one, otherwise the included one.
FROM base AS app
WORKDIR /app
COPY models all-models
RUN for folder in all-models/pretrained/*; do version=${folder##*/}; done \
    && if [ -f all-models/current ]; then version=$(cat all-models/current); fi \
    && mkdir models \
    && find all-models -maxdepth 2 -name "$version" -exec cp -r {} models \; \
    && echo "$version" > models/current \
    && rm -r all-models \
    && rm -f "models/$version/model.keras" "models/$version/trained_on.txt" "models/$version/reference.npz" \
    && test -f "models/$version/model.tflite"
COPY app.py predict.py gunicorn.conf.py LICENSE* ./
COPY car_damage car_damage
RUN rm -r car_damage/dataset car_damage/training car_damage/evaluation car_damage/release car_damage/report \
        car_damage/drift car_damage/retraining \
    && python -m compileall -q . \
    && mkdir /photos


FROM ${BASE} AS serve
# HOME: if the root file system is read-only, programs can write only to /tmp.
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PORT=5000
WORKDIR /app
COPY --from=packages /venv /venv
COPY --from=app /app /app
# A new volume takes the owner of this folder, so that the service may write to it.
COPY --from=app --chown=10001:10001 /photos /photos
# A number, because Kubernetes cannot check a name for runAsNonRoot. This user owns only /photos.
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-m", "car_damage.service.probe"]
CMD ["python", "-m", "car_damage.service.start", "-c", "gunicorn.conf.py"]
# Last, because each commit has another revision, and Docker rebuilds all layers below a change.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Car damage classifier" \
      org.opencontainers.image.description="Classifies photos of cars as damaged or not damaged: POST /predict" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0 AND LGPL-3.0-or-later AND GPL-2.0-or-later" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"


# The pipeline. Its results go to data/ and models/, so mount these folders.
FROM base AS train
WORKDIR /app
COPY scripts scripts
COPY requirements.txt ./
RUN bash -c 'source scripts/venv.sh && ready_venv requirements.txt'
ARG BUCKETS
COPY requirements-buckets.txt ./
RUN test -z "$BUCKETS" \
    || .venv/bin/pip install -r requirements-buckets.txt
COPY . .
# The container may run as any user
RUN mkdir -p data/raw/damaged data/raw/not-damaged \
    && chmod -R a+rwX data models
ENV HOME=/tmp
USER 10001:10001
ENTRYPOINT ["bash", "run_pipeline.sh"]


# The last stage is the default target
FROM serve
