# Needs nothing newer than Docker 19: no BuildKit features.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/longcode
WORKDIR /build
COPY requirements/run.txt requirements/run.txt
# Wheels only: what would need a compiler fails here instead of bringing one in.
RUN /opt/longcode/bin/pip install --require-hashes --only-binary :all: -r requirements/run.txt
COPY pyproject.toml LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md ./
COPY docs docs
COPY src src
RUN /opt/longcode/bin/pip install --no-deps --no-build-isolation .


FROM python:3.13-slim-bookworm AS run
RUN groupadd --gid 10001 longcode \
    && useradd --uid 10001 --gid longcode --home-dir /data --no-create-home --shell /usr/sbin/nologin longcode \
    && install -d -o longcode -g longcode -m 0700 /data
COPY --from=build /opt/longcode /opt/longcode
# The programs that built the image are no use to what runs in it.
RUN /opt/longcode/bin/pip uninstall --yes --quiet hatchling editables trove-classifiers pip
ENV PATH=/opt/longcode/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LONGCODE_DATA=/data
USER longcode
WORKDIR /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["longcode"]
CMD ["up", "--host", "0.0.0.0"]


# `docker-compose run --rm tests`: the suite starts a PostgreSQL and a Valkey of its own.
FROM build AS tests
RUN useradd --uid 10001 --create-home longcode && install -d -o longcode -g longcode /srv/longcode
WORKDIR /srv/longcode
COPY requirements requirements
RUN /opt/longcode/bin/pip install --require-hashes -r requirements/dev.txt
COPY --chown=longcode:longcode . .
ENV PATH=/opt/longcode/bin:$PATH PYTHONUNBUFFERED=1
USER longcode
CMD ["python", "-m", "pytest"]


# The last stage is what a plain `docker build .` gives.
FROM run
