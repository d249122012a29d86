# Gatepost in an image that holds nothing else: 20 MB, no shell, no root. examples/quickstart/compose.yaml shows it with a proxy.
#
#   docker build -t gatepost .
#   docker run -d --name gatepost -v gatepost:/data -p 127.0.0.1:8000:8000 -p 127.0.0.1:9001:9001 gatepost
#
# /data holds the database, the secret key and, in /data/proxy/secret, what the proxy must send as X-Proxy-Secret; each is made at
# the first start. Rules and configuration lie in /etc/gatepost: mount your own over them.
ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# A directory of the build context in which examples/docker/binary has been before; without one the program is built here.
ARG PREBUILT=
RUN if [ -n "${PREBUILT}" ]; then cp -R "${PREBUILT}" /built; else examples/docker/binary /built; fi \
 && mkdir -p /built/data/proxy

FROM scratch
COPY --from=build /built/gatepost /gatepost
COPY --from=build /built/gatepost.cdx.json /usr/share/doc/gatepost/gatepost.cdx.json
COPY LICENSE /usr/share/doc/gatepost/LICENSE
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY examples/docker/passwd /etc/passwd
COPY config/container.yaml /etc/gatepost/gatepost.yaml
COPY config/rules.yaml /etc/gatepost/rules.yaml
COPY --from=build --chown=10001:10001 /built/data/ /data/
ENV GATEPOST_CONFIG=/etc/gatepost/gatepost.yaml
# threads share two arenas: half a megabyte less, and a check allocates too little to notice
ENV MALLOC_ARENA_MAX=2
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000 9001 9002 9003 9004 9005 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/gatepost", "healthcheck"]
ENTRYPOINT ["/gatepost"]
