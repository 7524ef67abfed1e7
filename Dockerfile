# The gateway in a container: `docker build --tag weir .`, then
# `docker run --publish 8080:8080 --volume "$PWD/gateway.yaml:/etc/weir/gateway.yaml:ro" weir`.
#
# A mounted configuration says itself where it listens, and must do so on an address that the container's network
# reaches: `listen: 0.0.0.0:8080` or `"[::]:8443"`, never 127.0.0.1. One made from config/gateway.yaml does, since it
# asks WEIR_LISTEN, which the image sets.
#
# It writes no file (the request log goes to standard output), so it runs with `--read-only`. Give it time to drain:
# `docker stop --time 35`, a little more than the configuration's `drain_timeout`.

FROM python:3.11-slim AS base

# The compiler, for the hot modules, and pip's caches stay in this stage.
FROM base AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY hatch_build.py pyproject.toml README.md LICENSE ./
COPY config config
COPY filters filters
COPY gateway gateway
RUN WEIR_COMPILE=1 python -m pip wheel --wheel-dir /wheels .

FROM base
LABEL org.opencontainers.image.title="weir" \
      org.opencontainers.image.description="An API gateway for compute APIs that says why it answered as it did." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m venv /opt/weir && /opt/weir/bin/pip install --no-index --find-links /wheels weir-gateway
ENV PATH=/opt/weir/bin:$PATH
# Where the default configuration listens; its admin listener is for this container alone. To scrape metrics from outside,
# mount a configuration whose `admin` has an address and a token.
ENV WEIR_LISTEN=0.0.0.0:8080
# The default configuration, with its sample tokens: mount your own over it.
COPY config/gateway.yaml /etc/weir/gateway.yaml
WORKDIR /etc/weir
# By number, so that an orchestrator can see that it is not root; it needs no account and owns no file.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# Live, not ready: a gateway that drains is healthy, and must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9901, timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["weir"]
CMD ["run", "/etc/weir/gateway.yaml"]
