package servicetable

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"
)

// Format is the version of the JSON form of a Registration and of Marks, in which tables are kept on disk and passed to
// successors and peers. Readers ignore fields they do not know, so a field that may be ignored needs no new format; one that may
// not is named in "needs". The number grows only when what is written cannot be read by the rules of the one before.
const Format = 1

// written is the JSON form of a Registration. Zero values are left out.
type written struct {
	Format int                    `json:"format"`
	Needs  capped[text]           `json:"needs,omitempty"` // what a reader must know to understand this one rightly
	ID     text                   `json:"id"`
	Name   text                   `json:"instance,omitempty"`
	Host   text                   `json:"host,omitempty"`
	Raw    text                   `json:"host_raw,omitempty"`
	Loads  *writtenLoads          `json:"figures,omitempty"`
	Flags  uint32                 `json:"flags,omitempty"`
	GUID   id16                   `json:"guid,omitzero"`
	Since  time.Time              `json:"registered_at,omitzero"`
	LoadAt time.Time              `json:"load_at,omitzero"`
	Source text                   `json:"load_source,omitempty"`
	Peer   netip.Addr             `json:"peer,omitzero"`
	DN     text                   `json:"peer_dn,omitempty"`
	At     text                   `json:"arrived_on,omitempty"`
	Net    text                   `json:"network,omitempty"`
	Static bool                   `json:"static,omitempty"`
	Stale  bool                   `json:"stale,omitempty"`
	Owner  text                   `json:"database,omitempty"`
	Tier   int                    `json:"tier,omitempty"`
	Zone   text                   `json:"zone,omitempty"`
	Marks  writtenMarks           `json:"marks,omitempty"`
	Ends   capped[text]           `json:"endpoints,omitempty"`
	Offers capped[writtenService] `json:"services,omitempty"`
	Takes  capped[writtenHandler] `json:"handlers,omitempty"`
}

type writtenLoads struct {
	NodeLoad uint32 `json:"node_load"`
	NodeMax  uint32 `json:"node_max"`
	Load     uint32 `json:"load"`
	Max      uint32 `json:"max"`
}

type writtenService struct {
	Name     text         `json:"name"`
	Flags    uint32       `json:"flags"`
	Goodness uint32       `json:"goodness,omitempty"`
	Delta    uint32       `json:"delta,omitempty"`
	Weight   *uint32      `json:"weight,omitempty"`
	Marks    writtenMarks `json:"marks,omitempty"`
}

type writtenHandler struct {
	ID       id16        `json:"id,omitzero"`
	Name     text        `json:"name"`
	Kind     kindWord    `json:"kind"`
	Protocol text        `json:"protocol,omitempty"`
	Host     text        `json:"host,omitempty"`
	Port     int         `json:"port,omitempty"`
	Address  text        `json:"address,omitempty"`
	Info     text        `json:"info,omitempty"`
	Load     uint32      `json:"load,omitempty"`
	Max      uint32      `json:"max,omitempty"`
	Flags    uint32      `json:"flags,omitempty"`
	Services capped[int] `json:"services,omitempty"`
}

type writtenMark struct {
	Kind  markWord  `json:"mark"`
	Cause text      `json:"cause,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

type writtenMarks = capped[writtenMark]

// MarshalJSON writes r in the form of Format; all but Hop and Broker, which nothing in a table has. Positions in Handler.Services that lead
// to no service are left out.
func (r Registration) MarshalJSON() ([]byte, error) {
	w := written{
		Format: Format, ID: text(r.ID), Name: text(r.Instance), Host: text(r.Host), Raw: text(r.HostRaw), Flags: r.Flags, GUID: r.GUID,
		Since: r.RegisteredAt, LoadAt: r.LoadAt, Source: text(r.LoadSource),
		Peer: r.Peer, DN: text(r.PeerDN), At: text(r.ArrivedOn), Net: text(r.Network), Static: r.Static, Stale: r.Stale,
		Owner: text(r.Database), Tier: r.Tier, Zone: text(r.Zone), Marks: writeMarks(r.Marks),
	}
	if l := (writtenLoads{r.NodeLoad, r.NodeMax, r.Load, r.Max}); l != (writtenLoads{}) {
		w.Loads = &l
	}
	for _, e := range r.Endpoints {
		w.Ends = append(w.Ends, text(e))
	}
	for i := range r.Services {
		w.Offers = append(w.Offers, writeService(&r.Services[i]))
	}
	for i := range r.Handlers {
		w.Takes = append(w.Takes, writeHandler(&r.Handlers[i], len(r.Services)))
	}
	return json.Marshal(&w)
}

func writeService(s *Service) writtenService {
	o := writtenService{Name: text(s.Name), Flags: s.Flags, Goodness: s.Goodness, Delta: s.Delta, Marks: writeMarks(s.Marks)}
	if p := s.Weight.Percent(); p != 100 {
		o.Weight = &p
	}
	return o
}

func writeHandler(h *Handler, services int) writtenHandler {
	w := writtenHandler{
		ID: h.ID, Name: text(h.Name), Kind: kindWord(h.Kind), Protocol: text(h.Protocol), Host: text(h.Host), Port: h.Port,
		Address: text(h.Address), Info: text(h.Info), Load: h.Load, Max: h.Max, Flags: h.Flags,
	}
	for _, s := range h.Services {
		if s >= 0 && s < services {
			w.Services = append(w.Services, s)
		}
	}
	return w
}

func writeMarks(marks []Mark) (all writtenMarks) {
	for _, m := range marks {
		all = append(all, writtenMark{Kind: markWord(m.Kind), Cause: text(m.Cause), Since: m.Since, Until: m.Until})
	}
	return all
}

// Marks are the marks on one instance or handler. Unlike a list of Mark they have a JSON form, that of Format.
type Marks []Mark

// MarshalJSON writes the list, which may be empty.
func (m Marks) MarshalJSON() ([]byte, error) {
	if len(m) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal(writeMarks(m))
}

// MarkedKeys returns what Table.Mark has put on instances and handlers, by key in the form in which keys are compared.
func (s *Snapshot) MarkedKeys() map[string]Marks {
	all := make(map[string]Marks, len(s.marks))
	for key, list := range s.marks {
		all[key] = append(Marks(nil), list...)
	}
	return all
}

// text is a string that need not be UTF-8: one that is not, is written as {"hex": "…"}, so that it comes back as it was.
type text string

type hexText struct {
	Hex string `json:"hex"`
}

// MarshalJSON writes the text.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(hexText{hex.EncodeToString([]byte(t))})
}

// id16 is an identifier of sixteen bytes, written in hex.
type id16 [16]byte

// MarshalText writes it.
func (i id16) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, i[:]), nil }

// kindWord and markWord are written as the words for them.
type (
	kindWord Kind
	markWord MarkKind
)

// MarshalText writes the word.
func (k kindWord) MarshalText() ([]byte, error) {
	if Kind(k) > Pooled {
		return nil, fmt.Errorf("there is no word for handlers of kind %d", k)
	}
	return []byte(Kind(k).String()), nil
}

// MarshalText writes the word.
func (k markWord) MarshalText() ([]byte, error) {
	if MarkKind(k) > Holding {
		return nil, fmt.Errorf("there is no word for marks of kind %d", k)
	}
	return []byte(MarkKind(k).String()), nil
}
