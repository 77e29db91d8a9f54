import { socketListener } from "./listener.ts";
import { startEmbeddedStore } from "./stores.ts";
import { soakSuite } from "./suite.ts";

soakSuite({ startStore: startEmbeddedStore, listen: socketListener, seconds: 40 });
