# Debian 13 or newer (uWebSockets.js needs glibc 2.38) with Node.js 24 and npm in it.
ARG BASE=node:24-trixie-slim

FROM ${BASE} AS build
WORKDIR /opt/bacalhau
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
# Of uWebSockets.js, only the binary that this Node.js loads is kept.
RUN npm run build \
 && npm prune --omit=dev \
 && find node_modules/uWebSockets.js -name 'uws_*.node' \
      ! -name "$(node -p '["uws", process.platform, process.arch, process.versions.modules].join("_")').node" -delete

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="bacalhau-node" \
      org.opencontainers.image.description="A Bacalhau compute node and requester built for throughput" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
RUN groupadd --system --gid 10001 bacalhau \
 && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin bacalhau \
 && mkdir --mode=0700 /data \
 && chown bacalhau:bacalhau /data \
 && ln -s /opt/bacalhau/dist/main.js /usr/local/bin/bacalhau
COPY --from=build /opt/bacalhau/package.json /opt/bacalhau/
COPY --from=build /opt/bacalhau/dist /opt/bacalhau/dist
COPY --from=build /opt/bacalhau/node_modules /opt/bacalhau/node_modules
# In a container the loopback is out of reach: what is published decides who reaches the API.
ENV NODE_ENV=production \
    BACALHAU_DIR=/data \
    BACALHAU_SERVER_HOST=0.0.0.0
VOLUME /data
EXPOSE 1234 1235
WORKDIR /data
USER 10001:10001
STOPSIGNAL SIGTERM
# A running node writes its own address there. Its certificate, where it has one, is for other names than the loopback.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
  CMD ["sh", "-c", ". /data/bacalhau.run && exec bacalhau agent alive ${BACALHAU_API_TLS:+--insecure}"]
ENTRYPOINT ["bacalhau"]
CMD ["serve"]
