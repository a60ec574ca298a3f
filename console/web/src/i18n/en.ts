import type { Dictionary } from './ru'

const s = (n: number, one: string): string => (n === 1 ? one : `${one}s`)

export const en: Dictionary = {
  product: 'Nabat',
  productLine: 'Emergency dispatch for a city',
  lang: 'English',

  login: {
    title: 'Log in', login: 'Login', password: 'Password', submit: 'Log in', busy: 'Checking…',
    wrong: 'Wrong login or password', tooMany: 'Too many attempts. Wait a minute',
    away: 'The server does not answer. Check the line and try again', empty: 'Enter login and password',
    ended: 'Your session has ended. Log in again',
    kept: (n) => `Unsent text is kept on this computer (${n} ${s(n, 'card')}); it comes back when you log in with the same login`,
    starting: 'Loading…',
  },

  header: {
    out: 'Log out', help: 'Keys', soundOn: 'Sound on', soundOff: 'Sound off',
    soundLocked: 'Sound waits for a first key', language: 'Language', serverTime: 'Server time',
    open: 'Connected', connecting: 'Connecting…', waiting: 'No connection', behind: 'Data lag', stopped: 'Off',
    unsent: (n) => `Waiting for the server: ${n}`,
    waitingForMe: (n) => `Waiting for you: ${n}`, next: 'Go to next',
    skip: 'To the list of incidents',
  },

  stale: {
    since: (time) => `Data may be out of date since ${time} — reconnecting`,
    behind: (time) => `Data may be out of date since ${time} — the server lags behind the database`,
    never: 'No data yet — connecting',
    advice: 'What you type is kept and will be sent when the connection is back',
    back: 'Connection restored, data are exact',
  },

  board: {
    title: 'Open incidents', number: 'No.', age: 'Open for', what: 'What', where: 'Where',
    district: 'District', state: 'State', services: 'Services', search: 'Search', searchHint: 'number, place, facility, phone…',
    all: 'All', waiting: 'Waiting for you', filter: 'State of the card', clear: 'Clear filter',
    empty: 'No open incidents', nothing: 'Nothing matches the filter', loading: 'Waiting for data…',
    more: (n) => `${n} more`, hidden: (n) => `Hidden by filter: ${n}`,
    hiddenWaiting: (n) => `of them waiting for you: ${n}`,
    held: (n) => (n > 0 ? `Order held · new: ${n}` : 'Order held'), release: 'Show',
    noType: 'Type not given', noPlace: 'Place not given', noServices: 'No service assigned',
    unknownFacility: 'Unknown facility', onLine: 'On the line', ringing: 'Ringing', callback: 'Call back', lost: 'Call dropped',
    notDeliverable: 'Not delivered', overdue: 'overdue', notKnown: 'not known',
    order: 'Those waiting for a person first (longest wait on top), then newest',
  },

  chip: {
    label: (service, state) => `${service}: ${state}`,
    waits: (time) => `waiting for an answer ${time}`,
    overdue: (time) => `overdue, waiting ${time}`,
  },

  card: {
    title: (n) => `Incident No. ${n}`, close: 'Close the card', notFound: 'There is no such card, or it is not for you',
    loading: 'Loading the card…', gone: 'The card is no longer among the open ones',
    facts: 'Facts', place: 'Place', district: 'District', facility: 'Facility', caller: 'Phone',
    description: 'Description', opened: 'Opened', registered: 'Registered', closed: 'Closed',
    closeReason: 'Reason', lastSignal: 'Last signal', origin: 'Source', class: 'Alarm class',
    coordinates: 'Coordinates', type: 'Type', notKnown: 'not known', noPhone: 'number hidden or not known',
    version: 'Version', assignments: 'Services', contacts: 'Contacts', journal: 'Journal',
    noAssignments: 'No service is assigned yet', noContacts: 'No contacts',
    journalLoading: 'Loading the journal…', rule: 'Rule', ruleset: 'ruleset', why: 'Why', byPerson: 'chosen by a person',
    order: 'Order', comment: 'Comment', hangUp: 'Hang up',
    unknownFacilityNote: 'The alarm came from a panel that is not in the registry. Nobody was sent: decide',
    draftNote: 'Draft: not sent to any service', undeliverable: 'The service did not get the card. Phone it',
    times: { added: 'assigned', published: 'sent', received: 'received', decided: 'decided', enRoute: 'en route', arrived: 'arrived', working: 'work began', finished: 'finished' },
  },

  form: {
    draft: 'Fill in and send', amend: 'Change or add', type: 'What happened', place: 'Place',
    description: 'Description', choose: '— choose —', send: 'Send', sendChanges: 'Send changes',
    closeNo: 'Close without response', reason: 'Reason', sending: 'Sending…',
    saved: 'Saved', unsaved: 'Not saved', saving: 'Saving…', unsent: 'Changes not sent',
    keptHere: 'A copy is on this computer', notKept: 'No copy can be kept on this computer',
    needType: 'Choose what happened', needPlace: 'Give the place', needReason: 'Give a reason',
    tooLong: (n) => `At most ${n} characters`,
    conflict: 'Somebody else has changed this field:', conflictEmpty: '(cleared)', mine: 'Keep my text', theirs: 'Take their text',
    conflictFirst: 'First decide whose text to keep', sendBlocked: 'Cannot send: first decide whose text to keep', discard: 'Drop my changes',
    lostEdits: 'Your text was not sent, and the card can no longer be changed:', dropEdits: 'Remove',
  },

  act: {
    accept: 'Accept', refuse: 'Refuse', refusal: 'Why refused', refuseConfirm: 'Refuse',
    back: 'Back', orderNumber: 'Order number (if any)', comment: 'Comment (if needed)',
    close: 'Close the incident', cancel: 'Cancel the incident', cancelConfirm: 'Cancel the incident', closeConfirm: 'Close',
    waitFor: 'Left to answer', overdue: 'Time to answer is over', own: 'Your service', alreadyRefused: 'You refused. You may still accept',
    done: 'Your service has finished', closeWhenDone: 'Can be closed when every service has finished',
    steps: {
      accepted: 'Accept', refused: 'Refuse', en_route: 'En route', arrived: 'Arrived', working: 'Working',
      completed: 'Completed', work_refused: 'Refuse the work',
    },
    pending: 'Waiting for the server…', offline: 'No connection: the command goes out as soon as it is back',
    late: 'No answer in 5 s. The command is not lost, it is being repeated',
    tooBig: 'The command is too big. Shorten the text', failed: 'Not done', unknownError: 'The server refused without a reason', orderLabel: 'Order number',
  },

  keys: {
    title: 'Keys', close: 'Close',
    rows: [
      ['↑ ↓  or  J K', 'along the list'], ['Enter', 'open the card; on a duty card: accept'],
      ['A', 'accept (duty officer)'], ['R', 'refuse (duty officer)'], ['N', 'to the next that waits for you'],
      ['/', 'search'], ['Esc', 'back to the list'], ['E', 'to the form of the card'], ['Ctrl + Enter', 'send the form'],
      ['M', 'sound'], ['L', 'Russian / English'], ['?', 'this help'], ['Alt (hold)', 'letters on the buttons'],
    ],
    note: 'Letters work in the Russian layout too',
  },

  urgent: {
    one: (what, where) => `Waiting for you: ${what}, ${where}`,
    many: (n) => `New ones waiting for you: ${n}`,
    title: (n) => `(${n}) WAITING — Nabat`,
  },

  incidentStates: {
    draft: 'Draft', registered: 'Registered', dispatched: 'Dispatched', under_way: 'Under way',
    worked: 'Worked', closed: 'Closed', reopened: 'Reopened', cancelled: 'Cancelled',
  },
  assignmentStates: {
    added: 'added', published: 'sent', received: 'received', accepted: 'accepted', refused: 'refused',
    en_route: 'en route', arrived: 'arrived', working: 'working', completed: 'completed',
    work_refused: 'work refused', cancelled: 'cancelled',
  },
  roles: {
    operator: '112 operator', duty: 'Duty officer', supervisor: 'Shift supervisor', admin: 'Administrator', auditor: 'Auditor',
  },
  origins: { call: 'call', sms: 'SMS', ecall: 'ERA-GLONASS', alarm: 'alarm system' },
  services: { fire: 'Fire', police: 'Police', medical: 'Ambulance', gas: 'Gas' },
  classes: {
    fire: 'Fire', 'fire-prealarm': 'Fire pre-alarm', panic: 'Panic button', duress: 'Duress',
    intrusion: 'Intrusion', gas: 'Gas', co: 'Carbon monoxide', medical: 'Medical alarm', tamper: 'Tamper',
    trouble: 'Trouble', 'fire-trouble': 'Fire line trouble', power: 'Power', comm: 'Communication', test: 'Test',
    water: 'Water', temperature: 'Temperature', technical: 'Technical alarm', supervision: 'Supervision',
  },
  conditions: { alarm: 'alarm', restore: 'restore', trouble: 'trouble', test: 'test', warning: 'warning' },
  contactStates: { ringing: 'ringing', answered: 'on the line', ended: 'ended' },
  endReasons: {
    caller_hung_up: 'the caller hung up', cancelled: 'the caller gave up before the answer', operator: 'the operator hung up',
    line_lost: 'line lost', no_media: 'no common codec', no_ack: 'connection not confirmed',
    shutdown: 'node stopped', delivered: 'message received',
  },
  fields: { type: 'Type', place: 'Place', description: 'Description' },

  actor: {
    system: 'system', caller: (who) => (who ? `caller ${who}` : 'caller'), panel: (a) => `panel ${a}`,
    operator: (who) => `operator ${who}`, supervisor: (who) => `supervisor ${who}`,
    duty: (who) => `duty officer ${who}`, service: (who) => `service “${who}”`,
  },

  journal: {
    openedCall: 'A call came in, card opened', openedSms: 'An SMS came in, card opened',
    openedEcall: 'An ERA-GLONASS message, card opened', openedAlarm: (c) => `Signal “${c}”, card opened`,
    contact: 'A contact was added to the card', contactState: (x) => x ? `Contact: ${x}` : 'A contact changed',
    signal: (c, cond) => `Another signal: ${c}${cond ? `, ${cond}` : ''}`,
    zone: (z) => `zone ${z}`,
    registered: 'Card registered', edited: 'Changed', assigned: (x) => `Service assigned: ${x}`,
    status: (x, to) => `${x}: ${to}`, undeliverable: (x) => `${x}: the card was not delivered`,
    worked: 'Every service has finished', closed: 'Closed', cancelled: 'Cancelled', reopened: 'Reopened',
    change: (f, from, to) => `${f}: ${from ? `“${from}” → ` : ''}${to ? `“${to}”` : '(empty)'}`,
    order: (n) => `order ${n}`, rule: (r, set) => `rule ${r}${set ? `, ruleset ${set}` : ''}`,
  },

  time: { days: (d) => `${d} d` },
}
