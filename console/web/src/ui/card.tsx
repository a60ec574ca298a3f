import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { t } from '../i18n'
import { liveCall } from '../model/order'
import { isFinal, isOpen, isUndecided, type Assignment, type Contact, type Incident, type Time } from '../model/protocol'
import { mayEdit, mayHangUp } from '../model/rights'
import type { Live } from '../store/live'
import { word } from '../i18n'
import { Age, CallMark, Chip, CommandState, Hint } from './bits'
import { CardForm } from './form'
import { Duty } from './duty'
import { Endings } from './endings'
import { SignIcon, TypeIcon } from './icons'
import { Journal } from './journal'
import { backToBoard, caret } from './moves'
import { actorName, className, clockTime, moment, reasonName, serviceLong, stateName, what, whyOf } from './words'

const Fact = ({ name, children, wide, id }: { name: string; children: ComponentChildren; wide?: boolean; id?: string }) => (
  <div class={wide ? 'fact wide' : 'fact'}>
    <dt>{name}</dt>
    <dd data-fact={id}>{children}</dd>
  </div>
)

const NotKnown = () => <span class="muted">{t().card.notKnown}</span>

const Facts = ({ live, i, formShown }: { live: Live; i: Incident; formShown: boolean }) => {
  const w = t().card
  const now = live.now.value
  return (
    <dl class="facts">
      {!formShown && <Fact name={w.place} id="place" wide>{i.place || <NotKnown />}</Fact>}
      {(i.facilityName !== '' || i.facilityId !== '') && (
        <Fact name={w.facility} id="facility" wide>
          {i.facilityName} {i.facilityId !== '' && <span class="code">{i.facilityId}</span>}
        </Fact>
      )}
      {!formShown && (
        <Fact name={w.description} id="description" wide>
          {i.description !== '' ? <span class="pre">{i.description}</span> : <NotKnown />}
        </Fact>
      )}
      <Fact name={w.district} id="district">{i.district || <NotKnown />}</Fact>
      {i.origin !== 'alarm' && (
        <Fact name={w.caller} id="caller" wide>
          {i.caller !== '' ? <span class="num phone">{i.caller}</span> : <span class="muted">{w.noPhone}</span>}
        </Fact>
      )}
      <Fact name={w.origin}>{word(t().origins, i.origin)}</Fact>
      {i.class !== '' && <Fact name={w.class}>{className(i.class)}</Fact>}
      <Fact name={w.opened}>{moment(i.openedAt, now)}</Fact>
      {i.registeredAt !== undefined && <Fact name={w.registered}>{moment(i.registeredAt, now)}</Fact>}
      {i.lastSignalAt !== undefined && <Fact name={w.lastSignal}>{moment(i.lastSignalAt, now)}</Fact>}
      {i.lat !== undefined && i.lon !== undefined && (
        <Fact name={w.coordinates}>
          <span class="num">{i.lat.toFixed(5)}, {i.lon.toFixed(5)}</span>
        </Fact>
      )}
      {i.closedAt !== undefined && <Fact name={w.closed}>{moment(i.closedAt, now)}</Fact>}
      {i.closeReason !== '' && <Fact name={w.closeReason} wide>{reasonName(i.closeReason)}</Fact>}
    </dl>
  )
}

const times = (a: Assignment): ReadonlyArray<readonly [keyof ReturnType<typeof t>['card']['times'], Time]> => [
  ['added', a.addedAt], ['published', a.publishedAt], ['received', a.receivedAt], ['decided', a.decidedAt],
  ['enRoute', a.enRouteAt], ['arrived', a.arrivedAt], ['working', a.workingAt], ['finished', a.finishedAt],
]

const AssignmentLine = ({ live, a }: { live: Live; a: Assignment }) => {
  const w = t().card
  return (
    <li class="assignment" data-testid="assignment" data-service={a.service} data-state={a.state}>
      <div class="assignment-top">
        <b>{serviceLong(a.service)}</b>
        <Chip live={live} a={a} />
        {a.orderNumber !== '' && <span>{w.order} <b class="num">{a.orderNumber}</b></span>}
      </div>
      {a.undeliverable !== '' && (
        <p class="note note-bad">
          <SignIcon sign="warning" /> {w.undeliverable}: {a.undeliverable}
        </p>
      )}
      {a.comment !== '' && <p class="said">{w.comment}: {a.comment}</p>}
      {(a.why !== '' || a.rule !== '') && (
        <p class="why">
          {w.why}: {whyOf(a)}
          {a.rule !== '' && <span class="code"> · {w.rule.toLowerCase()} {a.rule}{a.ruleset > 0 && <>, <span class="whole">{w.ruleset} {a.ruleset}</span></>}</span>}
          {a.ruleset === 0 && a.addedBy !== '' && ` (${actorName(a.addedBy)})`}
        </p>
      )}
      <p class="stamps num">
        {times(a).filter(([, at]) => at !== undefined).map(([name, at]) => (
          <span key={name}>
            {w.times[name]} <b>{clockTime(at ?? 0)}</b>
          </span>
        ))}
      </p>
    </li>
  )
}

const ContactLine = ({ live, c }: { live: Live; c: Contact }) => {
  const now = live.now.value
  const going = c.state === 'ringing' || c.state === 'answered'
  return (
    <li class="contact" data-testid="contact" data-state={c.state}>
      <b>{word(t().origins, c.kind)}</b>
      <span class="num">{c.caller || t().card.noPhone}</span>
      {going ? <CallMark live={live} contact={c} /> : <span>{word(t().endReasons, c.endReason || c.state)}</span>}
      <span class="muted num">
        {moment(c.receivedAt, now)}
        {c.endedAt !== undefined && c.answeredAt !== undefined && (
          <> · <Age live={live} since={c.answeredAt} until={c.endedAt} /></>
        )}
      </span>
      {c.callbackDue && (
        <span class="mark mark-callback">
          <SignIcon sign="callback" />
          {t().board.callback}
        </span>
      )}
    </li>
  )
}

export const Card = ({ live, id }: { live: Live; id: string }) => {
  const heading = useRef<HTMLHeadingElement>(null)
  const i = live.board.row(id)?.value
  void live.board.revision.value // a card that arrives later makes its row only then
  const w = t().card
  const known = i !== undefined
  useEffect(() => heading.current?.focus({ preventScroll: true }), [id, known])
  // The form of a draft gives way to the facts once it is sent. Whoever types on
  // meanwhile goes on in the form's other place, or the letters would be taken for
  // keys; else the focus must not fall off the page.
  const formFirst = i !== undefined && i.state === 'draft' && mayEdit(i, live.me)
  const place = useRef(formFirst)
  const back = useRef<(() => boolean) | null>(null)
  if (place.current !== formFirst) {
    place.current = formFirst
    back.current = caret() // nothing is painted yet: the field that goes has the focus
  }
  useLayoutEffect(() => {
    if (document.activeElement === document.body && back.current?.() !== true) heading.current?.focus({ preventScroll: true })
    back.current = null
  }, [formFirst])

  const close = (
    <button type="button" class="quiet-light" data-testid="card-close" aria-label={w.close} title={w.close} onClick={backToBoard}>
      <SignIcon sign="close" />
      <Hint k="Esc" />
    </button>
  )
  if (i === undefined) {
    return (
      <section class="card" aria-labelledby="card-title" data-testid="card" data-incident={id}>
        <div class="card-head">
          <h2 id="card-title" tabIndex={-1} ref={heading}>
            {live.missing.value.has(id) ? w.notFound : w.loading}
          </h2>
          {close}
        </div>
      </section>
    )
  }
  const call = liveCall(i)
  const gone = live.board.vanished.value.has(id)
  const hurry = i.assignments.some((a) => isUndecided(a.state))
  return (
    <section class="card" aria-labelledby="card-title" data-testid="card" data-incident={id} data-state={i.state} data-version={i.version}>
      <div class="card-head">
        <TypeIcon type={i.type} cls={i.class} />
        <div class="card-title">
          <h2 id="card-title" tabIndex={-1} ref={heading}>
            {w.title(i.number)} · {what(i)}
          </h2>
          <p class="card-sub">
            <span class={`state state-${i.state}`} data-testid="card-state">{stateName(i.state)}</span>
            <span>
              {t().board.age.toLowerCase()} <Age live={live} since={i.openedAt} until={i.closedAt} />
            </span>
            {call !== undefined && <CallMark live={live} contact={call} />}
          </p>
        </div>
        {close}
      </div>
      <div class="card-body" tabIndex={0} data-hurry={hurry}>
        {gone && <p class="note note-warn">{w.gone}</p>}
        {i.unknownFacility && isOpen(i.state) && i.state === 'draft' && (
          <p class="note note-bad" data-testid="unknown-note">
            <SignIcon sign="question" /> {w.unknownFacilityNote}
          </p>
        )}
        <Duty live={live} i={i} />
        {formFirst && <CardForm live={live} i={i} />}
        <h3>{w.facts}</h3>
        <Facts live={live} i={i} formShown={formFirst} />
        <h3>{w.assignments}</h3>
        {i.assignments.length === 0 ? (
          <p class="muted">{i.state === 'draft' ? w.draftNote : isOpen(i.state) ? w.noAssignments : t().board.noServices}</p>
        ) : (
          <ul class="assignments">
            {[...i.assignments].sort((a, b) => Number(isFinal(a.state)) - Number(isFinal(b.state))).map((a) => (
              <AssignmentLine key={a.id} live={live} a={a} />
            ))}
          </ul>
        )}
        {i.contacts.length > 0 && (
          <>
            <h3>{w.contacts}</h3>
            <ul class="contacts">
              {i.contacts.map((c) => (
                <ContactLine key={c.id} live={live} c={c} />
              ))}
            </ul>
          </>
        )}
        {mayHangUp(i, live.me) && (
          <div class="actions">
            <button type="button" data-testid="hang-up" disabled={live.outbox.of(id, 'hangUp') !== undefined}
              onClick={() => live.command(id, 'hangUp')}>
              {w.hangUp}
            </button>
            <CommandState live={live} incident={id} kinds={['hangUp']} />
          </div>
        )}
        {!formFirst && <CardForm live={live} i={i} />}
        <Endings live={live} i={i} />
        <Journal live={live} id={id} />
      </div>
    </section>
  )
}
