/** What to advise where a peer has several services, or not the one that was asked for. */

/** How many services are written out as commands. */
const MAX_NAMED = 3;

/**
 * Returns hints with a command for each of `services`, up to three.
 *
 * @param called The peer as the user typed it.
 * @param services Their names as people type them; where none is known, the hint has a placeholder.
 * @param at `@HOST:PORT` where the user gave one, else empty.
 */
export function nameOneOf(called: string, services: readonly string[], at = ""): string[] {
  const command = (service: string) => `talos mcp-connect ${called}/${service}${at}`;
  if (services.length === 0) return [`name the service: ${command("SERVICE")}`];
  return services.toSorted().slice(0, MAX_NAMED).map((service, index) =>
    `${index === 0 ? "name the service" : "or another one"}: ${command(service)}`
  );
}
