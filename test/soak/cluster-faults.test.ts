import { startClusterStore } from "./stores.ts";
import { soakSuite } from "./suite.ts";

soakSuite(startClusterStore, 30);
