import fc from "fast-check";

/** A property runs for each mutant that it reaches. Most wrong changes fail it within its first runs. */
const PROPERTY_MS = 500;

fc.configureGlobal({ interruptAfterTimeLimit: PROPERTY_MS });
