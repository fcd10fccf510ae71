package loadbalance

import (
	"cmp"
	"math"
	"slices"
)

// rank is the place of a candidate among those of its class, in a form that is quick to compare: by score, then tie,
// then at.
type rank struct {
	score uint64 // bits of the score or scores; the uppermost one set if over a bound
	tie   uint32 // load of the handler, drawn number
	at    int32  // of the position
}

const overBit = uint64(1) << 63

// rank orders the candidates: by class, by score, and those of one instance so that the instances take turns: what
// failed is not tried at another door of the same house first. Equal ones come in random order.
func (d *decision) rank() {
	d.ranks = slices.Grow(d.ranks[:0], len(d.positions))
	for c, more := d.nextClass(0); more; c, more = d.nextClass(c + 1) {
		from := len(d.ranks)
		for i := range d.positions {
			if !d.group.mixed || d.positions[i].class == c {
				d.ranks = append(d.ranks, d.rankOf(i))
			}
		}
		d.sort(d.ranks[from:])
		if d.group.several {
			d.takeTurns(d.ranks[from:])
		}
	}
}

// nextClass returns the best class of any candidate that is not better than c.
func (d *decision) nextClass(c class) (next class, found bool) {
	if !d.group.mixed {
		return d.positions[0].class, c <= d.positions[0].class
	}
	next = worstClass
	for i := range d.positions {
		if p := &d.positions[i]; p.class >= c && p.class <= next {
			next, found = p.class, true
		}
	}
	return next, found
}

func (d *decision) rankOf(i int) rank {
	p := &d.positions[i]
	r := rank{at: int32(i), score: d.scoreBits(p), tie: uint32(d.draw(i) >> 32)}
	if p.over {
		r.score |= overBit
	}
	if d.group.several || d.policy == Goodness && d.group.basis.measure != byGoodness {
		r.tie = r.tie>>16 | math.Float32bits(float32(max(p.handlerLoad(), 0)))>>15<<16
	}
	return r
}

// scoreBits packs the score of p, which is not negative: such floating point numbers compare as their bits do. Where
// there is a second one, each gets half of the bits.
func (d *decision) scoreBits(p *position) uint64 {
	if d.policy == Goodness && d.group.basis.measure != byGoodness && !d.tagged {
		return uint64(math.Float32bits(float32(p.score)))<<31 | uint64(math.Float32bits(float32(p.second)))
	}
	return math.Float64bits(p.score)
}

// buckets is in how many parts of the range of scores a first, rough order is made.
const buckets = 128

// sort puts ranks in order. A few are sorted by insertion at once. More are first thrown into buckets, by how far
// their score is from the least to the greatest one: then they are nearly in order, without having been compared.
func (d *decision) sort(ranks []rank) {
	if len(ranks) > 12 {
		d.scatter(ranks)
	}
	moves := 12 * len(ranks)
	for i := 1; i < len(ranks); i++ {
		r, j := ranks[i], i
		for ; j > 0 && r.before(&ranks[j-1]); j-- {
			ranks[j] = ranks[j-1]
		}
		ranks[j] = r
		if moves -= i - j; moves < 0 {
			slices.SortFunc(ranks, rank.compare)
			return
		}
	}
}

// before compares without regard to position, which insertion keeps.
func (r *rank) before(o *rank) bool {
	return r.score < o.score || r.score == o.score && r.tie < o.tie
}

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.score, o.score), cmp.Compare(r.tie, o.tie), cmp.Compare(r.at, o.at))
}

// scatter puts ranks in order of their buckets; within one they stay in the order they were in.
func (d *decision) scatter(ranks []rank) {
	least, most := ranks[0].score, ranks[0].score
	for i := range ranks {
		least, most = min(least, ranks[i].score), max(most, ranks[i].score)
	}
	scale := (buckets - 1) / max(float64(most-least), 1)
	var ends [buckets]int32
	d.buckets = slices.Grow(d.buckets[:0], len(ranks))[:len(ranks)]
	for i := range ranks {
		b := uint8(float64(ranks[i].score-least)*scale) % buckets
		if least == most {
			b = uint8(ranks[i].tie >> 25)
		}
		d.buckets[i] = b
		ends[b]++
	}
	for b, sum := 0, int32(0); b < buckets; b++ {
		sum, ends[b] = sum+ends[b], sum
	}
	d.spare = append(d.spare[:0], ranks...)
	for i, b := range d.buckets {
		ranks[ends[b]] = d.spare[i]
		ends[b]++
	}
}

// takeTurns reorders the ranks of one class so that the instances take turns.
func (d *decision) takeTurns(ranks []rank) {
	d.spare = append(d.spare[:0], ranks...)
	d.taken = slices.Grow(d.taken[:0], len(ranks))[:len(ranks)]
	clear(d.taken)
	g := d.group
	for n := 0; n < len(ranks); {
		g.rounds++
		for i, r := range d.spare {
			if m := d.positions[r.at].seat.member; !d.taken[i] && m.round != g.rounds {
				m.round, d.taken[i], ranks[n] = g.rounds, true, r
				n++
			}
		}
	}
}
