"""RabbitMQ as the broker: its connection, its queues and Celery's settings for it. Nothing here runs with Redis as the broker."""
