import { startClusterStore } from "./stores/cluster.ts";
import { historySuite } from "./suite.ts";

historySuite({
  startStore: startClusterStore,
  instances: 4,
  loops: ["at instances", "of the store"],
  seconds: 40,
});
