import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { protoDescriptors } from "./checkers.ts";

/** Compiles proto/*.proto into proto/descriptors.pb, which the gRPC reflection serves. Run it after each change of them. */
writeFileSync(fileURLToPath(new URL("../proto/descriptors.pb", import.meta.url)), await protoDescriptors());
