import { caddyBinary } from "../../scripts/caddy-binary.ts";
import { startCaddy } from "../support/forward-proxies.ts";
import { describeProxy } from "../support/proxy-platform.ts";

describeProxy("caddy.test.ts", { start: startCaddy, binary: caddyBinary, versionArgument: "version" });
