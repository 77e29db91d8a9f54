import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Preloaded into a tested process (`node --import`): SIGUSR2 runs the garbage collector, so that the live heap
// can be measured.
setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");
process.on("SIGUSR2", () => {
  if (typeof collect === "function") collect();
});
