// The words and shapes that the console and the engine exchange. Everything that
// comes in passes through read.ts; nothing else casts.

export type IncidentState =
  | 'draft' | 'registered' | 'dispatched' | 'under_way' | 'worked' | 'closed' | 'reopened' | 'cancelled'

export type AssignmentState =
  | 'added' | 'published' | 'received' | 'accepted' | 'refused' | 'en_route' | 'arrived'
  | 'working' | 'completed' | 'work_refused' | 'cancelled'

export type Role = 'operator' | 'duty' | 'supervisor' | 'admin' | 'auditor'

export interface Me {
  login: string
  name: string
  role: Role
  service: string
}

// Times are milliseconds since 1970; undefined means «not known», never zero.
export type Time = number | undefined

export interface Assignment {
  id: string
  service: string
  state: AssignmentState
  rule: string
  ruleset: number
  why: string
  whyEn: string // empty: the rule has none
  addedBy: string
  orderNumber: string
  comment: string
  undeliverable: string
  addedAt: Time
  publishedAt: Time
  receivedAt: Time
  decidedAt: Time
  enRouteAt: Time
  arrivedAt: Time
  workingAt: Time
  finishedAt: Time
}

export interface Contact {
  id: string
  kind: string
  state: string
  caller: string
  receivedAt: Time
  answeredAt: Time
  endedAt: Time
  endReason: string
  callbackDue: boolean
}

export interface Incident {
  id: string
  number: number
  state: IncidentState
  origin: string
  type: string
  class: string
  facilityId: string
  facilityName: string
  unknownFacility: boolean
  place: string
  district: string
  lat: number | undefined
  lon: number | undefined
  description: string
  caller: string
  openedAt: Time
  registeredAt: Time
  closedAt: Time
  closeReason: string
  lastSignalAt: Time
  version: number
  assignments: readonly Assignment[]
  contacts: readonly Contact[]
}

export interface Change {
  old: string
  new: string
}

export interface JournalEvent {
  seq: number
  id: string
  incident: string
  version: number
  at: Time
  actor: string
  kind: string
  hash: string // empty for a duty officer
  data: EventDetails
}

export interface EventDetails {
  service: string
  from: string
  to: string
  orderNumber: string
  comment: string
  rule: string
  ruleset: number
  why: string
  whyEn: string // empty: the rule has none
  reason: string
  contactKind: string
  caller: string
  account: string
  class: string
  condition: string
  zone: string
  text: string
  changes: ReadonlyArray<readonly [string, Change]>
}

export interface Form {
  type: string
  place: string
  description: string
}

export type FormField = keyof Form
export const formFields: readonly FormField[] = ['type', 'place', 'description']

// FormChange holds the fields to change, each with the stored value it grew from.
// The server refuses it whole, as a conflict that names the field, when a base is
// no longer what is stored.
export interface FormChange extends Partial<Form> {
  base?: Partial<Form>
}

export type CommandKind =
  | 'save' | 'send' | 'closeWithoutResponse' | 'close' | 'cancel' | 'reply' | 'hangUp'

export interface Command {
  id: string
  kind: CommandKind
  incident: string
  form?: FormChange
  reason?: string
  status?: AssignmentState
  orderNumber?: string
  comment?: string
  service?: string
}

export interface CommandError {
  code: string
  field: string
  ru: string
  en: string
}

export type ServerFrame =
  | { t: 'hello'; epoch: string; server: Time; me: Me }
  | { t: 'snapshot'; epoch: string; seq: number; incidents: Incident[] }
  | { t: 'delta'; epoch: string; prev: number; seq: number; incidents: Incident[] }
  | { t: 'beat'; epoch: string; seq: number; at: Time; stale: boolean }
  | { t: 'events'; incident: string; events: JournalEvent[] }
  | { t: 'result'; id: string; ok: boolean; incident: Incident | undefined; error: CommandError | undefined }

export type ClientFrame =
  | ({ t: 'cmd' } & Command)
  | { t: 'watch'; incident: string }
  | { t: 'unwatch'; incident: string }
  | { t: 'resync' }

export interface Words {
  ru: string
  en: string
}

export interface Classifier {
  types: ReadonlyArray<Words & { type: string }>
  nonResponses: ReadonlyArray<Words & { reason: string }>
  services: ReadonlyArray<Words & { service: string }>
}

export const isOpen = (s: IncidentState): boolean => s !== 'closed' && s !== 'cancelled'

const finals: readonly AssignmentState[] = ['completed', 'work_refused', 'cancelled', 'refused']
export const isFinal = (s: AssignmentState): boolean => finals.includes(s)

// Undecided: the 30 s clock of this assignment runs.
export const isUndecided = (s: AssignmentState): boolean =>
  s === 'added' || s === 'published' || s === 'received'

/** The server's bounds, in characters. */
export const LIMITS = { place: 500, description: 4000, orderNumber: 64, comment: 2000, reason: 500 } as const

/** The server's bound of one message, in octets; above it the connection is closed
 * (1009). The longest command within LIMITS is a fifth of it. */
export const FRAME_LIMIT = 512 * 1024

export const tooBigCode = 1009
