// Exits with 0 if the instance in this container is ready. For HEALTHCHECK, because the image has no curl.
const listen = process.env["OPS_LISTEN"] || "127.0.0.1:9464";
const address = listen.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:");
const ready = await fetch(`http://${address}/readyz`, { signal: AbortSignal.timeout(2500) })
  .then(({ ok }) => ok)
  .catch(() => false);
process.exit(ready ? 0 : 1);
