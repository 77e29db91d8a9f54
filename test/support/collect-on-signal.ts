import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Loaded into a tested process before it (`node --import`): at SIGUSR2 it drops its garbage, so that what it holds can be seen.
setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");
process.on("SIGUSR2", () => {
  if (typeof collect === "function") collect();
});
