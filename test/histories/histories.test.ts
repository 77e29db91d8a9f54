import { startOneRedis } from "./stores/one-redis.ts";
import { historySuite } from "./suite.ts";

historySuite({ startStore: startOneRedis, instances: 3, loops: ["any"], seconds: 40 });
