import { useComputed, useSignal, type ReadonlySignal } from '@preact/signals'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { t, word } from '../i18n'
import { callbackDue, compare, hold, liveCall, matches, urgency, waitsForMe, type StateFilter } from '../model/order'
import { isOpen, type Incident, type IncidentState } from '../model/protocol'
import { filter, openId } from '../store/app'
import type { Live } from '../store/live'
import { Age, CallMark, Chip, Hint } from './bits'
import { SignIcon, TypeIcon } from './icons'
import { held, move, openCard, release, rowLink, selected, touch } from './moves'
import { className, haystack, stateName, what } from './words'

// The board of open incidents: one table row a card, each row a signal of its own.

const pageRows = 120

// A key in the search must be answered at once, so a new filter paints a screenful
// and the rest of the page follows while nobody types.
const screenRows = 24

const whenIdle: (f: () => void) => () => void =
  typeof requestIdleCallback === 'function'
    ? (f) => {
        const h = requestIdleCallback(f, { timeout: 400 })
        return () => cancelIdleCallback(h)
      }
    : (f) => {
        const h = setTimeout(f, 50)
        return () => clearTimeout(h)
      }

const states: readonly IncidentState[] = ['draft', 'registered', 'dispatched', 'under_way', 'worked', 'reopened']

const Marks = ({ live, i }: { live: Live; i: Incident }) => {
  const call = liveCall(i)
  const words = t().board
  return (
    <>
      {call !== undefined && <CallMark live={live} contact={call} />}
      {i.state === 'draft' && (i.origin === 'sms' || i.origin === 'ecall') && (
        <span class="mark mark-message" data-testid="origin">
          <SignIcon sign="message" />
          {word(t().origins, i.origin)}
        </span>
      )}
      {i.unknownFacility && (
        <span class="mark mark-unknown" data-testid="unknown-facility">
          <SignIcon sign="question" />
          {words.unknownFacility}
        </span>
      )}
      {call === undefined && callbackDue(i) && (
        <span class="mark mark-callback" data-testid="callback-due">
          <SignIcon sign="callback" />
          {words.callback}
        </span>
      )}
    </>
  )
}

const Row = ({ live, id, tabbable }: { live: Live; id: string; tabbable: ReadonlySignal<string | null> }) => {
  const i = live.board.row(id)?.value
  if (i === undefined) return null
  const words = t().board
  const gone = !isOpen(i.state) || live.board.vanished.value.has(id)
  // Computed, so that a move repaints the two rows concerned and not all of them.
  const isOpenCard = useComputed(() => openId.value === id).value
  const inTabOrder = useComputed(() => tabbable.value === id).value
  const waits = !gone && waitsForMe(i, live.me)
  const titled = i.facilityName !== ''
  return (
    <tr
      class={`${waits ? 'waits' : ''} ${gone ? 'gone' : ''} ${isOpenCard ? 'opened' : ''}`}
      data-testid="incident-row"
      data-incident={i.id}
      data-number={i.number}
      data-state={i.state}
      data-urgency={urgency(i, live.me)}
      onClick={() => openCard(id)}
    >
      <th scope="row" class={`c-number ${isOpenCard ? 'bar-open' : waits ? 'bar-waits' : ''}`}>
        <a
          href={`#/incident/${id}`}
          class={gone ? 'struck' : ''}
          data-row-link={id}
          tabIndex={inTabOrder ? 0 : -1}
          aria-current={isOpenCard ? 'true' : undefined}
          onFocus={() => (selected.value = id)}
          onClick={(e) => {
            e.preventDefault()
            e.stopPropagation()
            openCard(id)
          }}
        >
          {i.number}
        </a>
      </th>
      <td class="c-age">
        <Age live={live} since={i.openedAt} until={i.closedAt} />
        <span class="second clip inline-state">{stateName(i.state)}</span>
      </td>
      <td class="c-what">
        <span class={`what ${waits ? 'strong' : ''} ${gone ? 'struck' : ''}`}>
          <TypeIcon type={i.type} cls={i.class} />
          <span class="clip-2" title={what(i)}>{what(i)}</span>
        </span>
        {i.type !== '' && i.class !== '' && i.class !== i.type && <span class="second clip">{className(i.class)}</span>}
      </td>
      <td class="c-where">
        <span class={`${titled || i.district !== '' || i.place === '' ? 'clip' : 'clip-2'} ${titled || i.place ? '' : 'muted'}`} title={titled ? i.facilityName : i.place}>
          {titled ? i.facilityName : i.place || words.noPlace}
        </span>
        <span class="second clip">
          {titled ? i.place : i.place === '' ? [i.caller, i.description].filter((x) => x !== '').join(' · ') : ''}
          {i.district !== '' && <span class="inline-district">{(titled ? i.place : '') !== '' ? ' · ' : ''}{i.district}</span>}
        </span>
      </td>
      <td class="c-district">
        <span class="clip">{i.district}</span>
      </td>
      <td class="c-state">
        <span class={`state state-${i.state}`}>{stateName(i.state)}</span>
      </td>
      <td class="c-services">
        <div class="chips">
          <Marks live={live} i={i} />
          {i.assignments.map((a) => (
            <Chip key={a.id} live={live} a={a} />
          ))}
          {i.assignments.length === 0 && i.state !== 'draft' && isOpen(i.state) && (
            <span class="mark mark-callback">
              <SignIcon sign="warning" />
              {words.noServices}
            </span>
          )}
        </div>
      </td>
    </tr>
  )
}

const Held = ({ view }: { view: ReadonlySignal<{ waiting: number }> }) => {
  const waiting = view.value.waiting
  if (waiting === 0) return null
  return (
    <button type="button" class="small" onClick={release} data-testid="held">
      {t().board.held(waiting)} — {t().board.release}
    </button>
  )
}

const Filters = ({ counts }: { counts: ReadonlyMap<StateFilter, number> }) => {
  const words = t().board
  const set = (state: StateFilter): void => {
    filter.value = { ...filter.peek(), state }
    release()
  }
  const one = (state: StateFilter, label: string) => (
    <button key={state} type="button" aria-pressed={filter.value.state === state} data-testid="filter" data-filter={state}
      class={state === 'waiting' && (counts.get(state) ?? 0) > 0 ? 'hot' : ''} onClick={() => set(state)}>
      {label} <b class="num">{counts.get(state) ?? 0}</b>
    </button>
  )
  return (
    <div class="filters" role="search">
      <label class="sr" for="search">{words.search}</label>
      <span class="search">
        <input id="search" data-testid="search" type="search" placeholder={words.searchHint} autocomplete="off" spellcheck={false}
          value={filter.value.text}
          onInput={(e) => {
            filter.value = { ...filter.peek(), text: e.currentTarget.value }
            release()
          }}
          onKeyDown={(e) => {
            if (e.key === 'ArrowDown' || e.key === 'Enter') {
              e.preventDefault()
              e.stopPropagation()
              selected.value = null
              move(1)
            }
          }} />
        <Hint k="/" />
      </span>
      <div class="states" role="group" aria-label={words.filter}>
        {one('all', words.all)}
        {one('waiting', words.waiting)}
        {states.filter((s) => (counts.get(s) ?? 0) > 0 || filter.value.state === s).map((s) => one(s, stateName(s)))}
      </div>
    </div>
  )
}

export const Board = ({ live }: { live: Live }) => {
  const words = t().board
  const shown = useRef<readonly string[]>([])
  const limit = useSignal(pageRows)
  const painted = useSignal({ filter: filter.peek(), rows: screenRows })

  const open = useComputed(() => {
    void live.board.revision.value
    const vanished = live.board.vanished.value
    return live.board.all().filter((i) => isOpen(i.state) && !vanished.has(i.id))
  })
  const counts = useComputed(() => {
    const out = new Map<StateFilter, number>([['all', open.value.length]])
    for (const i of open.value) {
      out.set(i.state, (out.get(i.state) ?? 0) + 1)
      if (waitsForMe(i, live.me)) out.set('waiting', (out.get('waiting') ?? 0) + 1)
    }
    return out
  })
  const wanted = useComputed(() =>
    open.value
      .filter((i) => matches(i, filter.value, live.me, haystack))
      .sort(compare(live.me))
      .map((i) => i.id),
  )
  const view = useComputed(() => {
    const ids = wanted.value
    const held_ = held.value && shown.current.length > 0 ? hold(shown.current, ids) : { ids, waiting: 0 }
    const before = shown.current
    const unchanged = before.length === held_.ids.length && before.every((id, n) => id === held_.ids[n])
    if (!unchanged) shown.current = held_.ids
    return { ids: shown.current, waiting: held_.waiting }
  })
  const hiddenWaiting = useComputed(() => {
    const seen = new Set(wanted.value)
    return open.value.filter((i) => !seen.has(i.id) && waitsForMe(i, live.me)).length
  })

  // One row is in the tab order; the arrows reach the others.
  const tabbable = useComputed(() => {
    const { ids } = view.value
    const seen = ids.slice(0, limit.value)
    return [selected.value, openId.value].find((x) => x !== null && seen.includes(x)) ?? seen[0] ?? null
  })

  // A row that moved or left takes the focus with it: give it back.
  const hadFocus = useRef(false)
  useLayoutEffect(() => {
    if (!hadFocus.current || (document.activeElement !== document.body && document.activeElement !== null)) return
    const id = selected.peek()
    if (id !== null) rowLink(id)?.focus({ preventScroll: true })
  })
  useEffect(() => {
    const note = (): void => {
      if (document.activeElement !== document.body) hadFocus.current = document.activeElement?.closest('[data-row-link]') != null
    }
    document.addEventListener('focusin', note)
    return () => document.removeEventListener('focusin', note)
  }, [])

  const ids = useComputed(() => view.value.ids).value
  const total = open.value.length
  const hidden = total - wanted.value.length
  const filtered = filter.value.text !== '' || filter.value.state !== 'all'
  const rows = Math.min(limit.value, painted.value.filter === filter.value ? painted.value.rows : screenRows)
  const slice = ids.slice(0, rows)
  const unpainted = Math.min(ids.length, limit.value) - slice.length
  useEffect(() => {
    if (unpainted <= 0) return
    return whenIdle(() => (painted.value = { filter: filter.peek(), rows: rows + screenRows }))
  }, [unpainted, rows, filter.value])
  return (
    <section class="board" id="board" tabIndex={-1} aria-labelledby="board-title" data-testid="board" data-count={total}>
      <div class="board-head">
        <h2 id="board-title">
          {words.title} <span class="count num" data-testid="count">{total}</span>
        </h2>
        <span class="held" role="status">
          <Held view={view} />
        </span>
        {filtered && hidden > 0 && (
          <span class="hidden-note" role="status" data-testid="hidden-note">
            <span>
              {words.hidden(hidden)}
              {hiddenWaiting.value > 0 && <b>, {words.hiddenWaiting(hiddenWaiting.value)}</b>}
            </span>
            <button type="button" class="small" data-testid="clear-filter" onClick={() => { filter.value = { text: '', state: 'all' }; release() }}>
              {words.clear}
            </button>
          </span>
        )}
      </div>
      <Filters counts={counts.value} />
      <div class="table-scroll" onPointerMove={touch} onPointerLeave={release} onWheel={touch}>
        <table>
          <caption class="sr">{words.title}. {words.order}</caption>
          <thead>
            <tr>
              <th scope="col" class="c-number">{words.number}</th>
              <th scope="col" class="c-age">{words.age}</th>
              <th scope="col" class="c-what">{words.what}</th>
              <th scope="col" class="c-where">{words.where}</th>
              <th scope="col" class="c-district">{words.district}</th>
              <th scope="col" class="c-state">{words.state}</th>
              <th scope="col" class="c-services">{words.services}</th>
            </tr>
          </thead>
          <tbody>
            {slice.map((id) => (
              <Row key={id} live={live} id={id} tabbable={tabbable} />
            ))}
          </tbody>
        </table>
        {ids.length === 0 && (
          <p class="empty" data-testid="empty">
            {!live.ready.value ? words.loading : total === 0 ? words.empty : words.nothing}
          </p>
        )}
        {ids.length > limit.value && (
          <button type="button" class="more" data-testid="more" onClick={() => (limit.value += pageRows)}>
            {words.more(ids.length - limit.value)}
          </button>
        )}
      </div>
    </section>
  )
}
