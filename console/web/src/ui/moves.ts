import { signal } from '@preact/signals'
import { compare } from '../model/order'
import { open, openId } from '../store/app'
import type { Live } from '../store/live'

// Moving about by keyboard. The selected row is the one whose link has the focus;
// it is remembered by its card, not by its place in the list.

export const selected = signal<string | null>(null)
// held: a hand is on the board, so its order rests.
export const held = signal(false)
let openedAt = 0

const holdMs = 1_500

let holdTimer: ReturnType<typeof setTimeout> | undefined

export function touch(): void {
  clearTimeout(holdTimer)
  held.value = true
  holdTimer = setTimeout(release, holdMs)
}

export function release(): void {
  clearTimeout(holdTimer)
  held.value = false
}

// settled: the card has been on the screen long enough to have been looked at. A
// double Enter on the board must not accept a card unseen.
const lookMs = 400
export const settled = (): boolean => performance.now() - openedAt >= lookMs

export const rowLink = (id: string): HTMLElement | null =>
  document.querySelector<HTMLElement>(`[data-row-link="${CSS.escape(id)}"]`)

export function move(step: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>('[data-row-link]')]
  if (links.length === 0) return
  touch()
  const at = links.findIndex((l) => l.dataset.rowLink === (selected.peek() ?? openId.peek()))
  const next = links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))]
  next?.focus()
}

export function openCard(id: string): void {
  openedAt = performance.now()
  selected.value = id
  open(id)
}

// caret notes where somebody types. What it gives puts them back there, in the
// field of the same id, and says whether there is one.
export function caret(): () => boolean {
  const at = document.activeElement
  if (!(at instanceof HTMLInputElement || at instanceof HTMLTextAreaElement || at instanceof HTMLSelectElement)) return () => false
  const [start, end] = at instanceof HTMLSelectElement ? [null, null] : [at.selectionStart, at.selectionEnd]
  return () => {
    const el = document.getElementById(at.id)
    el?.focus({ preventScroll: true })
    if (el === null || document.activeElement !== el) return false
    if (!(el instanceof HTMLSelectElement)) (el as HTMLInputElement).setSelectionRange(start, end)
    el.scrollIntoView({ block: 'nearest' })
    return true
  }
}

export function backToBoard(): void {
  const id = openId.peek() ?? selected.peek()
  open(null)
  requestAnimationFrame(() => {
    if (id !== null) rowLink(id)?.focus()
  })
}

// goToNext opens the one that has waited longest, after the one that is open.
export function goToNext(live: Live): void {
  const list = [...live.waiting.peek()].sort(compare(live.me))
  const at = list.findIndex((i) => i.id === openId.peek())
  const next = list[(at + 1) % Math.max(1, list.length)]
  if (next !== undefined) openCard(next.id)
}
