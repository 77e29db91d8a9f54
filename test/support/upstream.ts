export type { SeenRequest, Upstream } from "../../scripts/upstream.ts";
export { startUpstream } from "../../scripts/upstream.ts";
