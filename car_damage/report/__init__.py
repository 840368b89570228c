"""A version's results as one page for people: `python -m car_damage.report VERSION…`."""
