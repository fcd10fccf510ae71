package stage

import "time"

// Listed is one instance of a service, as a broker lists it.
type Listed struct {
	Service string    `json:"-"`
	Name    string    `json:"name"`
	Status  string    `json:"status"`
	Stored  time.Time `json:"stored_at"` // zero: it has registered since the broker began
}

// Services are all instances that the broker has, once for each of their services.
func (b *Broker) Services() (all []Listed, err error) {
	var list struct {
		Services []struct {
			Name      string   `json:"name"`
			Instances []Listed `json:"instances"`
		} `json:"services"`
	}
	err = b.GetJSON("/api/v1/services", &list)
	for _, s := range list.Services {
		for _, one := range s.Instances {
			one.Service = s.Name
			all = append(all, one)
		}
	}
	return all, err
}
