import { describe } from "vitest";
import { envoyMatrix } from "../support/envoy-matrix.ts";

describe("through Envoy 1.40.0", () => envoyMatrix());
