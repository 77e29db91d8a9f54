import { socketListener } from "./listener.ts";
import { startClusterStore } from "./stores.ts";
import { soakSuite } from "./suite.ts";

soakSuite({ startStore: startClusterStore, listen: socketListener, seconds: 25 });
