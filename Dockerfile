# Latchkey in a container: `docker build -t latchkey .` in this folder. See docs/guides/install.md.

# The packages have no native code, so an image for another platform is built on this one, without emulation.
FROM --platform=$BUILDPLATFORM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json latchkey.yaml ./
COPY scripts/build.ts scripts/
COPY bin bin/
COPY proto proto/
COPY src src/
RUN npm run build
RUN npm ci --omit=dev
RUN mkdir data

FROM node:24-slim
WORKDIR /app
COPY --from=build /build/package.json /build/latchkey.yaml ./
COPY --from=build /build/node_modules node_modules/
COPY --from=build /build/bin bin/
COPY --from=build /build/proto proto/
COPY --from=build /build/dist dist/
COPY deploy/container/healthy.js ./
# The built-in policy. Mount your own over it.
COPY latchkey.yaml /etc/latchkey/
# Latchkey writes only here, so the root may be read-only.
COPY --from=build --chown=10001:10001 /build/data /data/
WORKDIR /data
# Production: Latchkey does not start without secrets, or with a listener in clear text that ALLOW_CLEARTEXT does not name.
ENV NODE_ENV=production \
    ENVIRONMENT=production \
    DATA_DIR=/data \
    POLICY_FILE=/etc/latchkey/latchkey.yaml \
    GRPC_LISTEN=0.0.0.0:9191 \
    HTTP_LISTEN=0.0.0.0:8000 \
    OPERATOR_LISTEN=127.0.0.1:8001 \
    OPS_LISTEN=0.0.0.0:9464
EXPOSE 9191 8000 9464
VOLUME /data
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 CMD ["node", "/app/healthy.js"]
# The objects of a Check are short-lived: a small young generation saves 90 MB and costs nothing (bench/README.md).
ENTRYPOINT ["node", "--max-semi-space-size=8", "/app/bin/latchkey.js"]
CMD ["serve"]
