import { t } from '../i18n'
import type { Live } from '../store/live'
import { actorName, journalLine, moment } from './words'

export const Journal = ({ live, id }: { live: Live; id: string }) => {
  const events = live.journals.value.get(id)
  const now = live.now.value
  return (
    <>
      <h3>{t().card.journal}</h3>
      {events === undefined ? (
        <p class="muted">{t().card.journalLoading}</p>
      ) : (
        <ol class="journal" data-testid="journal">
          {[...events].reverse().map((e) => {
            const line = journalLine(e)
            return (
              <li key={e.seq} data-testid="journal-line" data-kind={e.kind} data-seq={e.seq} data-version={e.version} data-hash={e.hash}>
                <time class="num">{moment(e.at, now)}</time>
                <div>
                  <b>{line.text}</b>
                  {line.notes.map((n, k) => (
                    <span key={k} class="line-note">{n}</span>
                  ))}
                  <span class="line-actor">{actorName(e.actor)}</span>
                </div>
              </li>
            )
          })}
        </ol>
      )}
    </>
  )
}
