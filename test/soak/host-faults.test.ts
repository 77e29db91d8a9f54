import { startEmbeddedStore } from "./stores.ts";
import { soakSuite } from "./suite.ts";

soakSuite(startEmbeddedStore, 120);
