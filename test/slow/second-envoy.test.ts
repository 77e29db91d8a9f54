import { describe } from "vitest";
import { envoyMatrix } from "../support/envoy-matrix.ts";

describe("through Envoy 1.39.3", () => envoyMatrix("1.39.3"));
