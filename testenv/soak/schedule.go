package main

import (
	"math/rand/v2"
	"time"
)

// drawn is one disturbance that comes: all of it follows from the seed, whatever becomes of the world meanwhile.
type drawn struct {
	kind   *disturbance
	target int           // which of those that it can strike
	hold   time.Duration // how long it lasts
	choice float64       // what else there is to choose, in [0,1)
	beside *drawn        // that strikes at the same time; nil: none
	pause  time.Duration // before the next
}

// schedule draws disturbances.
type schedule struct {
	kinds  []*disturbance
	total  int // of their weights
	random *rand.Rand
}

func newSchedule(seed uint64, kinds []*disturbance) *schedule {
	s := &schedule{kinds: kinds, random: rand.New(rand.NewPCG(seed, 0))}
	for _, k := range kinds {
		s.total += k.weight
	}
	return s
}

// besides is how many disturbances of a hundred have another one beside them.
const besides = 25

// next draws the next one. It takes as many numbers whatever it draws, so that schedules from one seed are alike.
func (s *schedule) next() *drawn {
	d, other, two := s.one(), s.one(), s.random.IntN(100) < besides
	if two && d.kind.realm != other.kind.realm && d.kind.realm != everything && other.kind.realm != everything {
		d.beside = other
	}
	return d
}

func (s *schedule) one() *drawn {
	at := s.random.IntN(s.total)
	d := &drawn{target: int(s.random.Uint32() >> 1), choice: s.random.Float64()}
	hold, pause := s.random.Float64(), s.random.Float64()
	for _, d.kind = range s.kinds {
		if at -= d.kind.weight; at < 0 {
			break
		}
	}
	d.hold = d.kind.least + time.Duration(hold*float64(d.kind.most-d.kind.least))
	d.pause = 300*time.Millisecond + time.Duration(pause*float64(2*time.Second))
	return d
}
