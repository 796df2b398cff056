/** Errors of `talos-server` itself. */

import { TalosError } from "../lib/errors.ts";

/** What can be wrong with how the server was started. */
export type RegistryErrorCode =
  /** An option is missing, unknown or malformed. */
  "usage";

/** An error of the registry. */
export class RegistryError extends TalosError<RegistryErrorCode> {}
