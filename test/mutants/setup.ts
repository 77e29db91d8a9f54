import fc from "fast-check";

/** A property runs for each mutant that it reaches: whole on a quiet machine, and bounded on a busy one. */
const PROPERTY_MS = 2000;

// A mutant needs no smallest counterexample.
fc.configureGlobal({ interruptAfterTimeLimit: PROPERTY_MS, endOnFailure: true });
