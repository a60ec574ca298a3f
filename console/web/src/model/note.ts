import type { Command } from './protocol'

// Note is what a person has typed on a card beside its form and not sent yet: a
// duty officer's words, a supervisor's reason.
export interface Note {
  refusing: 'refused' | 'work_refused' | null // the refusal's box is open
  comment: string
  orderNumber: string
  ending: 'close' | 'cancel' | null // the reason's box is open
  reason: string
}

export const emptyNote: Note = { refusing: null, comment: '', orderNumber: '', ending: null, reason: '' }

export const isEmptyNote = (n: Note): boolean => (Object.keys(emptyNote) as (keyof Note)[]).every((k) => n[k] === emptyNote[k])

// readNote takes what a disk gave.
export function readNote(v: Partial<Record<keyof Note, unknown>>): Note {
  const text = (x: unknown): string => (typeof x === 'string' ? x : '')
  return {
    refusing: v.refusing === 'refused' || v.refusing === 'work_refused' ? v.refusing : null,
    comment: text(v.comment),
    orderNumber: text(v.orderNumber),
    ending: v.ending === 'close' || v.ending === 'cancel' ? v.ending : null,
    reason: text(v.reason),
  }
}

// gone: the command has taken these words along.
export function gone(n: Note, c: Command): Note {
  if (c.kind === 'reply') return { ...n, refusing: null, comment: '', orderNumber: '' }
  if (c.kind === 'close' || c.kind === 'cancel') return { ...n, ending: null, reason: '' }
  return n
}

// returned: the server refused the command, so its words are back, unless others
// were typed meanwhile.
export function returned(n: Note, c: Command): Note {
  if (c.kind === 'reply') {
    return { ...n, comment: n.comment || (c.comment ?? ''), orderNumber: n.orderNumber || (c.orderNumber ?? '') }
  }
  if (c.kind === 'close' || c.kind === 'cancel') return { ...n, reason: n.reason || (c.reason ?? '') }
  return n
}
