import { lang, setLang } from '../i18n'
import { helpOpen, live, openId, phase } from '../store/app'
import * as sound from '../store/sound'
import { dutyKeys } from './duty'
import { backToBoard, goToNext, move } from './moves'

// One listener for the page. Letters go by the key's place on the keyboard
// (code), so that they work in the Russian layout as well.

const typing = (el: EventTarget | null): boolean =>
  el instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName)

// A control that Enter works on already.
const pressable = (el: EventTarget | null): boolean =>
  el instanceof HTMLElement && el.closest('button, a, summary, select, textarea, input') !== null

const hints = (on: boolean): void => {
  document.documentElement.classList.toggle('show-hints', on)
}

function escape(e: KeyboardEvent): void {
  const el = document.activeElement
  e.preventDefault()
  if (typing(el) && el instanceof HTMLElement) {
    const card = document.getElementById('card-title')
    if (el.closest('.card') !== null && card !== null) card.focus()
    else el.blur()
    return
  }
  if (openId.peek() !== null) backToBoard()
}

function onKey(e: KeyboardEvent): void {
  const session = live.peek()
  if (e.key === 'Alt') {
    e.preventDefault() // or the browser's menu takes the focus
    hints(true)
    return
  }
  if (phase.peek() !== 'live' || session === null || helpOpen.peek()) return
  if (e.key === 'Escape') {
    escape(e)
    return
  }
  if (typing(e.target) || e.ctrlKey || e.metaKey || e.altKey) return
  const did = (f: () => void): void => {
    e.preventDefault()
    f()
  }
  if (e.key === '?' || (e.code === 'Slash' && e.shiftKey)) return did(() => (helpOpen.value = true))
  if (e.key === '/' || e.code === 'Slash') return did(() => document.getElementById('search')?.focus())
  if (e.shiftKey) return
  switch (e.code) {
    case 'ArrowDown':
    case 'KeyJ':
      if (e.code === 'ArrowDown' && e.target instanceof HTMLElement && e.target.closest('.card') !== null) return
      return did(() => move(1))
    case 'ArrowUp':
    case 'KeyK':
      if (e.code === 'ArrowUp' && e.target instanceof HTMLElement && e.target.closest('.card') !== null) return
      return did(() => move(-1))
    case 'Enter':
    case 'NumpadEnter':
      if (e.repeat || pressable(e.target) || dutyKeys.accept === null) return
      return did(dutyKeys.accept)
  }
  if (e.code === 'PageDown' || e.code === 'PageUp') {
    const body = document.querySelector('.card-body')
    if (body === null) return
    return did(() => body.scrollBy({ top: (e.code === 'PageDown' ? 0.85 : -0.85) * body.clientHeight }))
  }
  if (e.repeat) return
  switch (e.code) {
    case 'KeyA':
      if (dutyKeys.accept !== null) did(dutyKeys.accept)
      return
    case 'KeyR':
      if (dutyKeys.refuse !== null) did(dutyKeys.refuse)
      return
    case 'KeyN':
      return did(() => goToNext(session))
    case 'KeyE':
      return did(() => {
        document.querySelector<HTMLDetailsElement>('.amend')?.setAttribute('open', '')
        document.getElementById('form-type')?.focus()
      })
    case 'KeyM':
      return did(() => sound.toggle())
    case 'KeyL':
      return did(() => setLang(lang.peek() === 'ru' ? 'en' : 'ru'))
  }
}

export function attachKeys(): void {
  document.addEventListener('keydown', onKey)
  document.addEventListener('keyup', (e) => {
    if (e.key === 'Alt') hints(false)
  })
  addEventListener('blur', () => hints(false))
}
