import { nginxBinary } from "../../scripts/nginx-binary.ts";
import { startNginx } from "../support/forward-proxies.ts";
import { describeProxy } from "../support/proxy-platform.ts";

describeProxy("nginx.test.ts", { start: startNginx, binary: nginxBinary, versionArgument: "-v" });
