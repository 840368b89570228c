"""What was answered: storage, photos seen before, review and feedback. Off without DATABASE_URL."""
