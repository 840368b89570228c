"""Reports on versions as HTML pages: `python -m car_damage.report VERSION…`."""
