import { startSentinelStore } from "./stores/sentinel.ts";
import { historySuite } from "./suite.ts";

historySuite({
  startStore: startSentinelStore,
  instances: 4,
  loops: ["at instances", "of the store"],
  seconds: 40,
});
