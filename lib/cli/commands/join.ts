/**
 * `talos join TICKET`: uses a ticket, and leaves this machine ready to use what it is for: an identity, a contact
 * for the host, the registry with its key, and where the host is. Nothing is kept of a ticket that is no good.
 */

import { fromUtf8Lossy } from "../../bytes.ts";
import { formatRegistryAddress, type RegistryAddress } from "../../discovery/registry_address.ts";
import { pinnedKey } from "../../discovery/registry_keys.ts";
import { noteRecord } from "../../discovery/seen_records.ts";
import { TalosError } from "../../errors.ts";
import { introduceContact } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import { formatHostPort } from "../../identity/host_port.ts";
import { DEFAULT_SERVER, JOIN_SERVICE, serviceLabel } from "../../identity/names.ts";
import { decodeTicket, type Ticket } from "../../identity/ticket.ts";
import { EARLY_DATA_BYTES } from "../../limits.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../../session/bodies.ts";
import { SessionError } from "../../session/errors.ts";
import { askToJoin, type Joined } from "../../session/join.ts";
import { pairingWords } from "../../session/pairing_words.ts";
import { Session } from "../../session/session.ts";
import { describePath, type PathLabel } from "../../transport/transport.ts";
import { openEndpointRecord } from "../../wire/endpoint_record.ts";
import { parseClient } from "../clients/client.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { ensureIdentity } from "../ensure_identity.ts";
import { CliError } from "../errors.ts";
import type { NextStep } from "../output.ts";
import { reachInviter } from "../reach_inviter.ts";
import {
  chooseRegistry,
  keepJoinToken,
  type RegistryFlags,
  registryOptions,
  rememberRegistry,
} from "../registry_choice.ts";

/** The options of `talos join`. */
export interface JoinOptions extends RegistryFlags {
  /** What this machine is called, if it has no identity yet. */
  readonly name?: string;
  /** The MCP client whose configuration is to be written. */
  readonly client?: string;
  /** Whether to try what was written there. */
  readonly verify: boolean;
}

/** More than a ticket has with all the white space that mail puts into it. */
const MAX_TYPED_BYTES = 1024;

const LINE_FEED = 0x0a;

/** What came of a ticket. */
interface Paired {
  readonly joined: Joined;
  readonly words: string;
  readonly path: PathLabel;
}

/** Uses a ticket. Throws TalosError. */
export async function joinCommand(
  context: Context,
  options: JoinOptions,
  text: string,
): Promise<void> {
  const ticket = decodeTicket(text === "-" ? await readTicket() : text);
  if (options.client !== undefined) parseClient(options.client); // before the ticket is used up
  requireInTime(context, ticket);
  await ensureIdentity(context, options.name);
  const { wallet, identity } = await openIdentity(context, interactivePassphrase(context));
  if (identity.peerId === ticket.host) {
    throw new CliError("usage", "Cannot join: this ticket is of this very machine", {
      hints: ["run it on the machine that is to use the server"],
    });
  }
  using database = new Database(context.paths, identity.peerId);
  const registry = registryFor(context, database, ticket, options);
  const reach = registry === null ? null : {
    ...await registryOptions(context, identity, database, registry, options),
    ...(isTicketsOwn(database, registry, ticket) && ticket.token !== undefined
      ? { token: ticket.token }
      : {}),
  };
  const connection = await reachInviter(context, identity, ticket, reach);
  const { joined, words, path } = await pair(context, connection, ticket, wallet);
  const petname = noteHost(context, database, ticket, joined);
  const isRemembered = registry !== null &&
    await noteRegistry(context, database, ticket, registry, options);
  const target = targetOf(petname, joined, ticket, registry, path);
  const flags = registry === null || isRemembered
    ? ""
    : ` --server ${formatRegistryAddress(registry)}`;
  const service = serviceLabel(joined.service);
  const value = {
    peer_id: ticket.host,
    name: petname,
    service,
    called: joined.called,
    words: words.split(" "),
    path: describePath(path),
    registry: registry === null ? null : formatRegistryAddress(registry),
    target,
  };
  const sentence = [
    `joined: ${joined.name} (${ticket.host}) lets this machine use "${service}"`,
    `contact: ${petname}; there this machine is called ${joined.called}`,
    `words: ${words} (the host's log shows the same; if not, somebody else used the ticket)`,
  ].join("\n");
  if (options.client === undefined) {
    context.output.result(sentence, value, steps(target, flags));
    return;
  }
  if (context.output.json) context.output.event({ event: "joined", ...value });
  else context.output.result(sentence, value);
  const { mcpInstallCommand } = await import("./mcp_install.ts");
  const server = registry === null || isRemembered
    ? {}
    : { server: formatRegistryAddress(registry) };
  await mcpInstallCommand(
    context,
    { ...server, client: options.client, verify: options.verify },
    target,
  );
}

/** Reads a ticket from stdin: others on this machine see what is typed behind a command. */
async function readTicket(): Promise<string> {
  const bytes = new Uint8Array(MAX_TYPED_BYTES);
  let length = 0;
  while (length < bytes.length) {
    const read = await Deno.stdin.read(bytes.subarray(length));
    if (read === null) break;
    length += read;
    if (bytes.subarray(0, length).includes(LINE_FEED)) break;
  }
  return fromUtf8Lossy(bytes.subarray(0, length));
}

/** By our own clock; the host decides by its own. */
function requireInTime({ clock }: Context, { expires }: Ticket): void {
  if (clock.now() < expires) return;
  const until = new Date(expires).toISOString();
  throw new SessionError("invite_expired", `Cannot join: the ticket held until ${until}`, {
    hints: ["on the host, make another one: talos invite"],
  });
}

/** Returns the registry to ask: the one that a flag names, else the ticket's; null where there is none. */
function registryFor(
  context: Context,
  database: Database,
  { registry }: Ticket,
  flags: RegistryFlags,
): RegistryAddress | null {
  const { address, chosenBy } = chooseRegistry(context, database, flags);
  if (chosenBy === "flag" || (registry === undefined && chosenBy !== "default")) return address;
  if (registry === undefined || isProvenOtherwise(database, registry)) {
    if (registry !== undefined) {
      context.log.warn(
        "the ticket names another key for a registry that is known; it is not asked",
        {
          registry: formatHostPort(registry),
        },
      );
    }
    return null;
  }
  return registry;
}

/** Whether the registry there has proved another key before: no ticket overrides that. */
function isProvenOtherwise(database: Database, registry: RegistryAddress): boolean {
  const pinned = pinnedKey(database, registry);
  return pinned !== undefined && pinned !== registry.id;
}

function isTicketsOwn(
  database: Database,
  { host, port }: RegistryAddress,
  { registry }: Ticket,
): boolean {
  return registry !== undefined && registry.host === host && registry.port === port &&
    !isProvenOtherwise(database, registry);
}

async function pair(
  { clock, random }: Context,
  connection: Awaited<ReturnType<typeof reachInviter>>,
  { secret }: Ticket,
  { name, peerId }: { readonly name: string; readonly peerId: Ticket["host"] },
): Promise<Paired> {
  await using session = Session.open(connection, {
    id: random(SESSION_ID_BYTES),
    service: JOIN_SERVICE,
    maxMessage: EARLY_DATA_BYTES,
    salt: random(SALT_BYTES),
  }, clock);
  try {
    const joined = await askToJoin(session, secret, { peer: peerId, name });
    const words = pairingWords(connection.handshakeHash).join(" ");
    return { joined, words, path: session.path };
  } catch (error) {
    throw error instanceof SessionError ? advised(error) : error;
  }
}

function advised(error: SessionError): SessionError {
  switch (error.code) {
    case "invite_unknown":
    case "invite_used":
    case "invite_expired":
    case "invite_revoked":
      return error.advise("on the host, make another one: talos invite");
    case "invite_limited":
      return error.advise("on the host, see where they came from in the log of talos mcp-serve");
    case "unauthorized":
      return error.advise("on the host, see who is revoked: talos access list");
    default:
      return error;
  }
}

/** Remembers the host, and where it is. Returns what we call it. */
function noteHost(
  { clock, log }: Context,
  database: Database,
  { host }: Ticket,
  { name, endpoint }: Joined,
): string {
  if (endpoint !== undefined) {
    try {
      noteRecord(database, endpoint, openEndpointRecord(host, endpoint));
    } catch (error) {
      if (!(error instanceof TalosError)) throw error;
      log.warn("where the host says it is does not count", { why: error.message });
    }
  }
  return introduceContact(database, name, host, clock.now());
}

/** Remembers the registry where none is remembered yet, and its token. Returns whether it is the usual one now. */
async function noteRegistry(
  context: Context,
  database: Database,
  ticket: Ticket,
  registry: RegistryAddress,
  flags: RegistryFlags,
): Promise<boolean> {
  const isTickets = isTicketsOwn(database, registry, ticket);
  const tokenFile = flags.joinTokenFile ??
    (isTickets && ticket.token !== undefined
      ? await keepJoinToken(context, database, registry, ticket.token)
      : undefined);
  const { address, chosenBy } = chooseRegistry(context, database, {});
  if (chosenBy !== "default") {
    return address.host === registry.host && address.port === registry.port;
  }
  rememberRegistry(context, database, registry, {
    unlisted: false,
    ...(tokenFile === undefined ? {} : { joinTokenFile: tokenFile }),
  });
  return true;
}

/** Returns `PEER[/SERVICE]`, with an address where nothing else leads there. */
function targetOf(
  petname: string,
  { service, endpoint }: Joined,
  ticket: Ticket,
  registry: RegistryAddress | null,
  path: PathLabel,
): string {
  const label = serviceLabel(service);
  const target = label === DEFAULT_SERVER ? petname : `${petname}/${label}`;
  if (registry !== null || path.kind !== "direct") return target;
  const published = endpoint === undefined ? [] : addressesIn(ticket, endpoint);
  return published.includes(path.remote) ? target : `${target}@${path.remote}`;
}

function addressesIn({ host }: Ticket, endpoint: NonNullable<Joined["endpoint"]>): string[] {
  try {
    return openEndpointRecord(host, endpoint).addresses.map(formatHostPort);
  } catch {
    return []; // said before
  }
}

function steps(target: string, flags: string): NextStep[] {
  return [
    {
      command: `talos mcp-install ${target}${flags} --client claude-desktop`,
      purpose: "make it a server of an MCP client",
    },
    {
      command: `talos mcp-connect ${target}${flags}`,
      purpose: "or by hand, the command in an agent's configuration",
    },
  ];
}
