# The portal's image: one for the web server, the worker, the scheduler and the migrations.

FROM node:22-slim AS node
WORKDIR /portal
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund --ignore-scripts

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /portal
COPY requirements/base.txt requirements/
RUN pip install --require-hashes -r requirements/base.txt
COPY . .
COPY --from=node /portal/node_modules node_modules
# collectstatic asks for production settings but for no service: it gets values that are thrown away.
RUN python scripts/build_assets.py \
 && python scripts/messages.py compile \
 && env $(python scripts/throwaway_settings.py) VAR_DIR=/portal/collected python manage.py collectstatic --noinput \
 && rm -rf node_modules build

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CARING_MODE=production VAR_DIR=/var/lib/caring-portal STATIC_ROOT=/portal/collected/static
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/caring-portal portal
COPY --from=build /venv /venv
COPY --from=build /portal /portal
WORKDIR /portal
USER portal
VOLUME /var/lib/caring-portal
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "scripts/healthcheck.py"]
CMD ["gunicorn", "caring_portal.wsgi", "--config", "deploy/gunicorn.conf.py"]
