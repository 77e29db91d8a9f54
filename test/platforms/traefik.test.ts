import { traefikBinary } from "../../scripts/traefik-binary.ts";
import { startTraefik } from "../support/forward-proxies.ts";
import { describeProxy } from "../support/proxy-platform.ts";

describeProxy("traefik.test.ts", { start: startTraefik, binary: traefikBinary, versionArgument: "version" });
